/* Reads the lines in front of a graph that say what a model is: versions, opsets, producer, folder of its data. */
#include "text.h"

static bool word_line(TgReader *r, TgName *to)
{
    TgBytes text;
    if (!tg_lex_string(&r->lex, &text))
        return false;
    *to = tg_name_n(r->lex.tg, (const char *)text.at, text.n);
    return true;
}

static bool opset_line(TgReader *r, TgModel *m)
{
    TgImport import = {.domain = tg_name(m->tg, "")};
    if (r->lex.token.kind == TG_TOK_STRING && !word_line(r, &import.domain))
        return false;
    if (!tg_lex_int(&r->lex, &import.version))
        return false;
    TG_PUSH(m->arena, &m->imports, import);
    return true;
}

static bool folder_line(TgReader *r, TgModel *m)
{
    TgName folder;
    if (!word_line(r, &folder))
        return false;
    m->path = r->base = tg_name_format(r->lex.tg, "%s/text", folder);
    return true;
}

bool tg_read_header_line(TgReader *r, TgModel *m)
{
    TgLex *lex = &r->lex;
    TgLex start = *lex;
    tg_lex_next(lex);
    if (tg_lex_is_word(&start, "ir_version"))
        return tg_lex_int(lex, &m->ir_version);
    if (tg_lex_is_word(&start, "opset"))
        return opset_line(r, m);
    if (tg_lex_is_word(&start, "producer"))
        return word_line(r, &m->producer_name);
    if (tg_lex_is_word(&start, "producer_version"))
        return word_line(r, &m->producer_version);
    if (tg_lex_is_word(&start, "domain"))
        return word_line(r, &m->domain);
    if (tg_lex_is_word(&start, "model_version"))
        return tg_lex_int(lex, &m->model_version);
    if (tg_lex_is_word(&start, "doc"))
        return word_line(r, &m->doc);
    if (tg_lex_is_word(&start, "unknown"))
        return tg_read_hex(r, &m->unknown);
    if (tg_lex_is_word(&start, "folder"))
        return folder_line(r, m);
    *lex = start;
    return tg_lex_fail(lex, "'graph' or a line about the model");
}
