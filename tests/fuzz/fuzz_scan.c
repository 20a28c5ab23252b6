/* The wire scanner: any bytes as each kind of message. What it accepts, scan_next must walk to the last
 * byte. */
#include "fuzz.h"

#include "frontend/scan.h"

static void walk(Tg *tg, TgBytes message)
{
    const uint8_t *end = message.at + message.n;
    size_t seen = 0;
    TgBytes rest = message;
    WireField f;
    while (scan_next(&rest, &f)) {
        bool inside = f.whole.at >= message.at && f.whole.at + f.whole.n <= end;
        fuzz_require(tg, inside && (f.wire != 2 || f.bytes.n <= f.whole.n),
                     "a field lies outside of its message", NULL);
        seen += f.whole.n;
    }
    fuzz_require(tg, rest.n == 0 && seen == message.n, "scan_next fails where scan_check was content", NULL);
}

void fuzz_one(Tg *tg, TgBytes input)
{
    for (WireMessage kind = WIRE_NONE + 1; kind < WIRE_COUNT; kind++) {
        uint64_t budget;
        uint32_t errors = tg_error_count(tg);
        bool sound = scan_check(tg, input, kind, input.at, &budget);
        fuzz_require(tg, sound == (tg_error_count(tg) == errors),
                     "a refusal without a reason, or the reverse", NULL);
        if (sound)
            walk(tg, input);
    }
}
