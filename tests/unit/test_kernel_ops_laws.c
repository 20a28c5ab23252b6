/* Generic operator kernels of the C backend: laws over many elements, against loops that are written here from the
 * definition. */
#include "kernel_ops.h"

static uint64_t draw_state;

static int64_t draw(int64_t n) /* below n */
{
    draw_state = draw_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (int64_t)((draw_state >> 33) % (uint64_t)n);
}

static tgk_array random_floats(int32_t rank, const int64_t *dim)
{
    tgk_array a = blank_array(TGK_F32, rank, dim);
    for (int64_t i = 0; i < a.room; i++)
        ((float *)a.at)[i] = (float)(draw(2001) - 1000) / 512;
    return a;
}

static const tgk_ctx serial = {0}, reverse = {.parallel_for = in_reverse};

/* Any permutation of large axes, elements of any size: compared index by index. */
static void test_transpose_moves_every_element(void **state)
{
    static const tgk_type types[] = {TGK_U8, TGK_U16, TGK_F32, TGK_I64, (tgk_type)TG_c128};
    (void)state;
    draw_state = 1;
    for (int round = 0; round < 60; round++) {
        int64_t dim[5], to[5], perm[5] = {0, 1, 2, 3, 4}, from[5], index[5] = {0};
        int32_t rank = (int32_t)draw(5) + 1;
        for (int32_t i = 0; i < rank; i++) {
            dim[i] = draw(rank < 3 ? 200 : 12) + 1;
            int64_t k = draw(i + 1), other = perm[k];
            perm[k] = perm[i];
            perm[i] = other;
        }
        tgk_array x = blank_array(types[round % 5], rank, dim);
        size_t size = bytes_of(x.type);
        for (int64_t i = 0; i < x.room; i++)
            for (size_t b = 0; b < size; b++)
                ((uint8_t *)x.at)[(size_t)i * size + b] = (uint8_t)((uint64_t)i >> 8 * (b % 4) ^ b);
        for (int32_t i = 0; i < rank; i++)
            to[i] = dim[perm[i]];
        tgk_Transpose_args a = {.in = {x}, .out = {blank_array(x.type, rank, to)}, .perm = perm, .n_perm = rank};
        assert_int_equal(tgk_Transpose(round % 2 ? &serial : &reverse, &a), TGK_OK);
        for (int64_t i = 0; i < x.room; i++) {
            int64_t offset = 0;
            for (int32_t k = 0; k < rank; k++)
                from[perm[k]] = index[k];
            for (int32_t k = 0; k < rank; k++)
                offset = offset * dim[k] + from[k];
            assert_memory_equal((char *)a.out[0].at + (size_t)i * size, (char *)x.at + (size_t)offset * size, size);
            for (int32_t k = rank - 1; k >= 0 && ++index[k] == to[k]; k--)
                index[k] = 0;
        }
        free(x.at);
        free(a.out[0].at);
    }
}

/* Walks `steps` places from element 0 of n in one direction, bouncing at the ends (reflect) or jumping (wrap). */
static int64_t walk(int64_t n, int64_t steps, bool reflect)
{
    int64_t at = 0, by = steps < 0 ? -1 : 1;
    for (int64_t i = 0; i < (steps < 0 ? -steps : steps) && n > 1; i++) {
        if (at + by < 0 || at + by >= n) {
            by = reflect ? -by : by;
            at = reflect ? at : by < 0 ? n : -1;
        }
        at += by;
    }
    return at;
}

static void test_pad_walks(void **state)
{
    static const char *const modes[] = {"constant", "edge", "reflect", "wrap"};
    (void)state;
    draw_state = 5;
    for (int round = 0; round < 400; round++) {
        int64_t n = draw(6) + 1, pads[2] = {draw(20) - 5, draw(20) - 5}, rows = 3, axis = 1;
        int64_t size = n + pads[0] + pads[1];
        if (size < 0)
            continue;
        const int64_t dim[3] = {rows, n, 2}, to[3] = {rows, size, 2};
        tgk_array x = random_floats(3, dim), pad = {pads, TGK_I64, 1, {2}, 2}, at = {&axis, TGK_I64, 1, {1}, 1};
        tgk_Pad_args a = {.in = {x, pad, {.at = NULL}, at}, .out = {blank_array(TGK_F32, 3, to)},
                          .mode = modes[round % 4]};
        assert_int_equal(tgk_Pad(&serial, &a), TGK_OK);
        for (int64_t i = 0; i < a.out[0].room; i++) {
            int64_t place = i / 2 % size - pads[0], from = place < 0 ? 0 : place >= n ? n - 1 : place;
            if (round % 4 >= 2)
                from = walk(n, place, round % 4 == 2);
            bool constant = round % 4 == 0 && from != place;
            float want = constant ? 0 : ((float *)x.at)[(i / 2 / size * n + from) * 2 + i % 2];
            assert_true(((float *)a.out[0].at)[i] == want);
        }
        free(x.at);
        free(a.out[0].at);
    }
}

/* 2^22 times 0.1f: the sum is exact to a rounding of float32, along either axis. */
static void test_long_sums(void **state)
{
    enum { LONG = 1 << 22 };
    (void)state;
    for (int along = 0; along < 2; along++) {
        const int64_t dim[2] = {along ? 1 : LONG, along ? LONG : 1}, wide[2] = {1 << 14, 1 << 8}, one[2] = {1, 1};
        int64_t axis = along, first = 0;
        tgk_array x = blank_array(TGK_F32, 2, dim), at = {&axis, TGK_I64, 1, {1}, 1};
        for (int64_t i = 0; i < LONG; i++)
            ((float *)x.at)[i] = 0.1f;
        tgk_ReduceSum_args a = {.in = {x, at}, .out = {blank_array(TGK_F32, 2, one)}, .keepdims = 1};
        assert_int_equal(tgk_ReduceSum(&serial, &a), TGK_OK);
        assert_true(fabs((double)*(float *)a.out[0].at / ((double)0.1f * (double)LONG) - 1) < 1e-6);
        free(a.out[0].at);
        memcpy(x.dim, wide, sizeof wide);
        tgk_array columns = {&first, TGK_I64, 1, {1}, 1};
        const int64_t row[2] = {1, 1 << 8};
        tgk_ReduceMean_args b = {.in = {x, columns}, .out = {blank_array(TGK_F32, 2, row)}, .keepdims = 1};
        assert_int_equal(tgk_ReduceMean(&reverse, &b), TGK_OK);
        for (int64_t i = 0; i < row[1]; i++)
            assert_true(fabs((double)((float *)b.out[0].at)[i] / (double)0.1f - 1) < 1e-6);
        free(b.out[0].at);
        free(x.at);
    }
}

/* Against a selection that is written as the definition says. */
static void test_topk_selects(void **state)
{
    (void)state;
    draw_state = 2;
    for (int round = 0; round < 40; round++) {
        int64_t n = draw(300) + 1, k = draw(n + 1), dim[2] = {2, n}, to[2] = {2, k};
        tgk_array x = blank_array(TGK_I32, 2, dim), many = {&k, TGK_I64, 1, {1}, 1};
        for (int64_t i = 0; i < x.room; i++)
            ((int32_t *)x.at)[i] = (int32_t)draw(round % 2 ? 7 : 1000) - 3;
        tgk_TopK_args a = {.in = {x, many}, .out = {blank_array(TGK_I32, 2, to), blank_array(TGK_I64, 2, to)},
                           .axis = 1, .largest = round % 3 != 0, .sorted = 1};
        assert_int_equal(tgk_TopK(&serial, &a), TGK_OK);
        for (int64_t row = 0; row < 2; row++) {
            const int32_t *line = (int32_t *)x.at + row * n;
            bool used[300] = {false};
            for (int64_t i = 0; i < k; i++) {
                int64_t best = -1;
                for (int64_t j = 0; j < n; j++)
                    if (!used[j] && (best < 0 || (a.largest ? line[j] > line[best] : line[j] < line[best])))
                        best = j;
                used[best] = true;
                assert_int_equal(((int64_t *)a.out[1].at)[row * k + i], best);
                assert_int_equal(((int32_t *)a.out[0].at)[row * k + i], line[best]);
            }
        }
        free(x.at);
        free(a.out[0].at);
        free(a.out[1].at);
    }
}

/* The result of an equation with small letters and "->", index by index in double. */
static double einsum_at(const char *equation, const tgk_array *in, int64_t n_in, const int64_t *size, int64_t *value)
{
    const char *arrow = strstr(equation, "->");
    char summed[26];
    int n = 0;
    double sum = 0;
    for (int letter = 0; letter < 26; letter++)
        if (size[letter] > 0 && !strchr(arrow, 'a' + letter)) {
            summed[n++] = (char)letter;
            value[letter] = 0;
        }
    for (;;) {
        double product = 1;
        const char *at = equation;
        for (int64_t f = 0; f < n_in; f++, at++) {
            int64_t offset = 0;
            for (int32_t i = 0; *at >= 'a' && *at <= 'z'; at++, i++)
                offset = offset * in[f].dim[i] + value[*at - 'a'];
            product *= (double)((float *)in[f].at)[offset];
        }
        sum += product;
        int i = n - 1;
        for (; i >= 0 && ++value[(int)summed[i]] == size[(int)summed[i]]; i--)
            value[(int)summed[i]] = 0;
        if (i < 0)
            return sum;
    }
}

static void test_einsum_sums(void **state)
{
    static const char *const equations[] = {
        "ij,jk->ik", "ij,kj->ik", "ji,jk->ki", "bij,bjk->bik", "bhqd,bhkd->bhqk", "bqhd,bkhd->bhqk", "bhqk,bkhd->bqhd",
        "abc,cd,de->abe", "i,j->ij", "ij->", "ij->j", "ij->ji", "aab,b->a", "ab,ab->a", "ab,b->", "abcd,cdef->abef",
        "abcd,dcef->abef", "i,i->", "ab,cb,db->acd", "bi,bi->bi", "ab,bc->cab",
    };
    (void)state;
    draw_state = 3;
    static const tgk_ctx by_matrices = {.isa = &plain_isa, .parallel_for = in_reverse};
    matmuls = 0;
    for (size_t e = 0; e < 3 * sizeof equations / sizeof *equations; e++) {
        const char *equation = equations[e / 3], *at = equation;
        int64_t size[26] = {0}, value[26] = {0}, dim[8], n_in = 0, index[8] = {0};
        tgk_array in[4];
        for (const char *c = equation; *c; c++)
            if (*c >= 'a' && *c <= 'z' && !size[*c - 'a'])
                size[*c - 'a'] = strlen(equation) > 10 ? draw(7) + 1 : draw(e % 3 == 1 ? 300 : 40) + 1;
        while (*at != '-') {
            int32_t rank = 0;
            for (at += *at == ','; *at >= 'a' && *at <= 'z'; at++)
                dim[rank++] = size[*at - 'a'];
            in[n_in++] = random_floats(rank, dim);
        }
        const char *out = strstr(equation, "->") + 2;
        int32_t rank = (int32_t)strlen(out);
        for (int32_t i = 0; i < rank; i++)
            dim[i] = size[out[i] - 'a'];
        tgk_Einsum_args a = {.in = in, .n_in = n_in, .out = {blank_array(TGK_F32, rank, dim)}, .equation = equation};
        assert_int_equal(tgk_Einsum(e % 3 == 2 ? &by_matrices : e % 3 ? &reverse : &serial, &a), TGK_OK);
        for (int64_t i = 0; i < a.out[0].room; i++) {
            bool look = a.out[0].room < 3000 || i % 97 == 0;
            for (int32_t k = 0; k < rank; k++)
                value[out[k] - 'a'] = index[k];
            double got = (double)((float *)a.out[0].at)[i], want = got;
            if (look)
                want = einsum_at(equation, in, n_in, size, value);
            if (fabs(got - want) > 1e-5 * (1 + fabs(want)))
                fail_msg("%s: element %lld is %.9g, not %.9g", equation, (long long)i, got, want);
            for (int32_t k = rank - 1; k >= 0 && ++index[k] == dim[k]; k--)
                index[k] = 0;
        }
        for (int64_t f = 0; f < n_in; f++)
            free(in[f].at);
        free(a.out[0].at);
    }
    assert_true(matmuls >= 8);
}

/* A constant stays one whatever the sizes; an antialiased ramp is a ramp away from its ends. */
static void test_resize_keeps_ramps(void **state)
{
    static const char *const modes[] = {"nearest", "linear", "cubic"};
    (void)state;
    for (int round = 0; round < 24; round++) {
        bool small = round % 4 == 3;
        int64_t dim[3] = {3, small ? 5000 : 40, 2}, size[3] = {round % 2 ? 5 : 2, small ? 3 : 17 * (round % 4) + 5, 2};
        tgk_array x = blank_array(TGK_F32, 3, dim), sizes = {size, TGK_I64, 1, {3}, 3};
        bool ramp = round >= 12;
        for (int64_t i = 0; i < x.room; i++)
            ((float *)x.at)[i] = ramp ? (float)(i / 2 % dim[1]) : 3.5f;
        tgk_Resize_args a = {.in = {x, {.at = NULL}, {.at = NULL}, sizes}, .out = {blank_array(TGK_F32, 3, size)},
                             .antialias = 1, .coordinate_transformation_mode = "half_pixel", .cubic_coeff_a = -0.5,
                             .keep_aspect_ratio_policy = "stretch", .mode = modes[round % 3],
                             .nearest_mode = "round_prefer_floor"};
        assert_int_equal(tgk_Resize(round % 2 ? &serial : &reverse, &a), TGK_OK);
        for (int64_t i = 0; i < a.out[0].room; i++) {
            int64_t place = i / 2 % size[1];
            double where = ((double)place + 0.5) * (double)dim[1] / (double)size[1] - 0.5;
            double margin = 2 * fmax(1, (double)dim[1] / (double)size[1]) + 1;
            double allowed = size[1] > dim[1] ? 1e-5 : 0.1; /* a kernel that is sampled is not exact */
            if (!ramp)
                assert_true(fabs((double)((float *)a.out[0].at)[i] - 3.5) < 1e-6);
            else if (round % 3 != 0 && where > margin && where < (double)dim[1] - margin)
                assert_true(fabs((double)((float *)a.out[0].at)[i] - where) < allowed);
        }
        free(x.at);
        free(a.out[0].at);
    }
}

static double overlap_of(const float *a, const float *b)
{
    double h = fmin((double)a[2], (double)b[2]) - fmax((double)a[0], (double)b[0]);
    double w = fmin((double)a[3], (double)b[3]) - fmax((double)a[1], (double)b[1]);
    double own = (double)(a[2] - a[0]) * (double)(a[3] - a[1]), other = (double)(b[2] - b[0]) * (double)(b[3] - b[1]);
    return h <= 0 || w <= 0 ? 0 : h * w / (own + other - h * w);
}

/* More candidates than a batch, with equal scores: in order, none overlaps an earlier one, every other one does. */
static void test_nms_chooses(void **state)
{
    enum { BOXES = 5000 };
    (void)state;
    draw_state = 4;
    const int64_t b_dim[3] = {1, BOXES, 4}, s_dim[3] = {1, 1, BOXES}, to[2] = {BOXES, 3};
    int64_t most = BOXES;
    float threshold = 0.4f;
    tgk_array boxes = blank_array(TGK_F32, 3, b_dim), scores = blank_array(TGK_F32, 3, s_dim);
    for (int64_t i = 0; i < BOXES; i++) {
        float *b = (float *)boxes.at + 4 * i, y = (float)draw(4000), x = (float)draw(4000);
        b[0] = y;
        b[1] = x;
        b[2] = y + (float)draw(200) + 1;
        b[3] = x + (float)draw(200) + 1;
        ((float *)scores.at)[i] = (float)draw(500) / 512;
    }
    const tgk_array limit = {&most, TGK_I64, 0, {0}, 1}, overlap = {&threshold, TGK_F32, 0, {0}, 1};
    tgk_NonMaxSuppression_args a = {.in = {boxes, scores, limit, overlap}, .out = {blank_array(TGK_I64, 2, to)}};
    a.out[0].dim[0] = -1;
    assert_int_equal(tgk_NonMaxSuppression(&serial, &a), TGK_OK);
    const int64_t *row = (int64_t *)a.out[0].at, found = a.out[0].dim[0];
    const float *score = (float *)scores.at, *box = (float *)boxes.at;
    bool chosen[BOXES] = {false};
    assert_true(found > 1024 && found < BOXES);
    for (int64_t i = 0; i < found; i++) {
        int64_t here = row[3 * i + 2], last = i ? row[3 * i - 1] : here;
        chosen[here] = true;
        assert_true(i == 0 || score[last] > score[here] || (score[last] == score[here] && last < here));
        for (int64_t k = 0; k < i; k++)
            assert_true(overlap_of(box + 4 * here, box + 4 * row[3 * k + 2]) <= (double)threshold + 1e-6);
    }
    for (int64_t i = 0; i < BOXES; i++) {
        bool gone = chosen[i];
        for (int64_t k = 0; k < found && !gone; k++) {
            int64_t other = row[3 * k + 2];
            gone = score[other] >= score[i] && overlap_of(box + 4 * i, box + 4 * other) > (double)threshold - 1e-6;
        }
        assert_true(gone);
    }
    free(boxes.at);
    free(scores.at);
    free(a.out[0].at);
}

/* The determinant of a triangular matrix, its rows reversed: the largest that fits, and one more. */
static void test_det_of_triangles(void **state)
{
    (void)state;
    for (int64_t n = 1; n <= 97; n += 16) {
        const int64_t dim[2] = {n, n};
        double want = 1;
        tgk_array x = blank_array(TGK_F64, 2, dim);
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < n; j++)
                ((double *)x.at)[(n - 1 - i) * n + j] = j < i ? 0 : j == i ? 1 + (double)(i % 3) / 8 : 0.25;
        for (int64_t i = 0; i < n; i++)
            want *= 1 + (double)(i % 3) / 8;
        want = n * (n - 1) / 2 % 2 ? -want : want;
        tgk_Det_args a = {.in = {x}, .out = {blank_array(TGK_F64, 0, dim)}};
        assert_int_equal(tgk_Det(&serial, &a), n > 96 ? TGK_BAD_SIZE : TGK_OK);
        if (n <= 96)
            assert_true(fabs(*(double *)a.out[0].at / want - 1) < 1e-10);
        free(x.at);
        free(a.out[0].at);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transpose_moves_every_element),
        cmocka_unit_test(test_pad_walks),
        cmocka_unit_test(test_long_sums),
        cmocka_unit_test(test_topk_selects),
        cmocka_unit_test(test_einsum_sums),
        cmocka_unit_test(test_resize_keeps_ramps),
        cmocka_unit_test(test_nms_chooses),
        cmocka_unit_test(test_det_of_triangles),
    };
    return cmocka_run_group_tests(tests, open_context, close_context);
}
