/* NonMaxSuppression: for every image and class, boxes by falling score (ties: lower index), each unless it overlaps one
 * that was chosen before.
 *
 * Without memory for an order of all boxes: a pass over the scores finds the next BATCH candidates in that order, in
 * a heap on the stack; chosen boxes are read back from the result. Cost: boxes times (candidates / BATCH + 1), and
 * candidates times chosen ones. Places are computed in float, in the order of the standard's text: on which side of
 * the threshold an overlap lies depends on it. */
#include "op_nms.h"

#include "op_array.h"

enum { BATCH = 1024 };

typedef struct {
    int64_t boxes, most; /* most: chosen of a class */
    float overlap, score;
    bool has_score, by_center;
} Selection;

typedef struct {
    float y0, x0, y1, x1;
} Box;

static Box box_at(const float *b, bool by_center)
{
    if (by_center) {
        const float half_w = b[2] / 2, half_h = b[3] / 2;
        return (Box){b[1] - half_h, b[0] - half_w, b[1] + half_h, b[0] + half_w};
    }
    return (Box){b[0] < b[2] ? b[0] : b[2], b[1] < b[3] ? b[1] : b[3], b[0] > b[2] ? b[0] : b[2],
                 b[1] > b[3] ? b[1] : b[3]};
}

static float area(Box b) { return (b.x1 - b.x0) * (b.y1 - b.y0); }

static bool overlaps(Box a, Box b, float threshold)
{
    const Box both = {a.y0 > b.y0 ? a.y0 : b.y0, a.x0 > b.x0 ? a.x0 : b.x0, a.y1 < b.y1 ? a.y1 : b.y1,
                      a.x1 < b.x1 ? a.x1 : b.x1};
    if (!(both.y0 < both.y1) || !(both.x0 < both.x1))
        return false;
    const float shared = area(both), own = area(a), other = area(b), all = own + other - shared;
    return own > 0 && other > 0 && all > 0 && shared / all > threshold;
}

/* Box a comes before box b. */
static bool before(const float *score, int64_t a, int64_t b)
{
    return score[a] > score[b] || (score[a] == score[b] && a < b);
}

/* The root of a heap comes last of all. */
static void sink(const float *score, int64_t *heap, int64_t i, int64_t n)
{
    for (int64_t child = 2 * i + 1; child < n; child = 2 * i + 1) {
        if (child + 1 < n && before(score, heap[child], heap[child + 1]))
            child++;
        if (before(score, heap[child], heap[i]))
            return;
        const int64_t other = heap[i];
        heap[i] = heap[child];
        heap[child] = other;
        i = child;
    }
}

/* The next candidates behind box `after` (-1: from the first one on), in order; returns how many, at most BATCH. */
static int64_t next_batch(const Selection *s, const float *score, int64_t after, int64_t *heap)
{
    int64_t n = 0;
    for (int64_t i = 0; i < s->boxes; i++) {
        if (!(s->has_score ? score[i] > s->score : score[i] == score[i]) || (after >= 0 && !before(score, after, i)))
            continue;
        if (n < BATCH) {
            heap[n++] = i;
            for (int64_t k = n / 2 - 1; n == BATCH && k >= 0; k--)
                sink(score, heap, k, n);
        } else if (before(score, i, heap[0])) {
            heap[0] = i;
            sink(score, heap, 0, n);
        }
    }
    for (int64_t k = n / 2 - 1; n < BATCH && k >= 0; k--)
        sink(score, heap, k, n);
    for (int64_t last = n - 1; last > 0; last--) {
        const int64_t other = heap[0];
        heap[0] = heap[last];
        heap[last] = other;
        sink(score, heap, 0, last);
    }
    return n;
}

/* Chooses boxes of one image and class; `rows` [room, 3] receives them. Returns how many; -1: there is no room. */
static int64_t choose(const Selection *s, const float *boxes, const float *score, int64_t *rows, int64_t room)
{
    int64_t heap[BATCH], found = 0, after = -1, n = BATCH;
    while (n == BATCH && found < s->most) {
        n = next_batch(s, score, after, heap);
        for (int64_t i = 0; i < n && found < s->most; i++) {
            const Box box = box_at(boxes + heap[i] * 4, s->by_center);
            bool keep = true;
            for (int64_t k = 0; k < found && keep; k++)
                keep = !overlaps(box, box_at(boxes + rows[3 * k + 2] * 4, s->by_center), s->overlap);
            if (!keep)
                continue;
            if (found == room)
                return -1;
            rows[3 * found++ + 2] = heap[i];
        }
        after = n > 0 ? heap[n - 1] : -1;
    }
    return found;
}

static float scalar(const tgk_array *a)
{
    return !a->at ? 0 : a->type == TGK_F64 ? (float)*(const double *)a->at : *(const float *)a->at;
}

tgk_status tgk_NonMaxSuppression(const tgk_ctx *c, tgk_NonMaxSuppression_args *a)
{
    (void)c;
    const tgk_array *boxes = &a->in[0], *scores = &a->in[1];
    tgk_array *out = &a->out[0];
    int64_t dim[2] = {0, 3};
    for (int i = 2; i < 5; i++)
        if (a->in[i].at && tgk_elements(&a->in[i]) != 1)
            return TGK_BAD_SIZE;
    if (boxes->rank != 3 || boxes->dim[2] != 4 || scores->rank != 3 || scores->dim[0] != boxes->dim[0]
        || scores->dim[2] != boxes->dim[1])
        return TGK_BAD_SIZE;
    const int64_t classes = scores->dim[1], n = boxes->dim[1], room = out->room / 3;
    const Selection s = {.boxes = n, .most = a->in[2].at ? *(const int64_t *)a->in[2].at : 0,
                         .overlap = scalar(&a->in[3]), .score = scalar(&a->in[4]), .has_score = a->in[4].at != NULL,
                         .by_center = a->center_point_box != 0};
    for (int64_t k = 0; k < boxes->dim[0] * classes; k++) {
        const int64_t image = k / classes;
        int64_t *rows = (int64_t *)out->at + 3 * dim[0];
        const int64_t found = choose(&s, (const float *)boxes->at + image * n * 4, (const float *)scores->at + k * n,
                                     rows, room - dim[0]);
        if (found < 0)
            return TGK_BAD_SIZE;
        for (int64_t i = 0; i < found; i++) {
            rows[3 * i] = image;
            rows[3 * i + 1] = k % classes;
        }
        dim[0] += found;
    }
    return tgk_shape(out, 2, dim);
}
