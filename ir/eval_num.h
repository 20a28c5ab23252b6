/* The number types of the evaluator. A kernel over reals is a template: a file eval_<topic>.inc, written
 * against the macros below and included once per number type by
 *
 *     #define TG_TEMPLATE "eval_<topic>.inc"
 *     #include "eval_num.h"
 *
 * A function of a template is named G(name); eval_<kernel> picks an instance: TG_BY_NUM(c, name)(arguments).
 * With TG_FIELD_TOO defined before, the template is also instantiated for the finite field, where FN, FN2 and
 * TO do not exist; its instances are picked by TG_BY_ANY_NUM. No include guard: it is meant to be included
 * again.
 *
 *   NUM                      the type of one number
 *   ADD SUB MUL DIV NEG      arithmetic
 *   MAX MIN                  NaN wins; LESS(a, b), EQUAL(a, b): comparisons
 *   FN(f, x) FN2(f, x, y)    a function of <math.h>; float32 computes in double, so that the result is nearly
 *                            always correctly rounded and does not depend on the libm's float variant
 *   FROM(x) TO(x)            from a C double, to a double
 *   FROM_INT(i)              from an int64, in one rounding
 */
#ifndef TG_BY_NUM
#define TG_BY_NUM(c, name) ((c)->mode == TG_EVAL_F64 ? name##_f64 : name##_f32)
#define TG_BY_ANY_NUM(c, name) ((c)->mode == TG_EVAL_FIELD ? name##_felt : TG_BY_NUM(c, name))
#endif

#define ADD(a, b) ((a) + (b))
#define SUB(a, b) ((a) - (b))
#define MUL(a, b) ((a) * (b))
#define DIV(a, b) ((a) / (b))
#define NEG(a) (-(a))
#define LESS(a, b) ((a) < (b))
#define EQUAL(a, b) ((a) == (b))
#define MAX(a, b) ((a) > (b) || (a) != (a) ? (a) : (b))
#define MIN(a, b) ((a) < (b) || (a) != (a) ? (a) : (b))
#define FN(f, x) FROM(f(TO(x)))
#define FN2(f, x, y) FROM(f(TO(x), TO(y)))
#define FROM(x) ((NUM)(x))
#define FROM_INT(i) ((NUM)(i))
#define TO(x) ((double)(x))

#define NUM float
#define G(name) name##_f32
#include TG_TEMPLATE
#undef NUM
#undef G

#define NUM double
#define G(name) name##_f64
#include TG_TEMPLATE
#undef NUM
#undef G

#undef ADD
#undef SUB
#undef MUL
#undef DIV
#undef NEG
#undef LESS
#undef EQUAL
#undef MAX
#undef MIN
#undef FN
#undef FN2
#undef FROM
#undef FROM_INT
#undef TO

#ifdef TG_FIELD_TOO
#define ADD tg_felt_add
#define SUB tg_felt_sub
#define MUL tg_felt_mul
#define DIV tg_felt_div
#define NEG tg_felt_neg
#define LESS tg_felt_less
#define EQUAL tg_felt_equal
#define MAX tg_felt_max
#define MIN tg_felt_min
#define FROM(x) tg_felt_float(x)
#define FROM_INT(i) tg_felt_int(i)
#define NUM TgFelt
#define G(name) name##_felt
#include TG_TEMPLATE
#undef NUM
#undef G
#undef ADD
#undef SUB
#undef MUL
#undef DIV
#undef NEG
#undef LESS
#undef EQUAL
#undef MAX
#undef MIN
#undef FROM
#undef FROM_INT
#undef TG_FIELD_TOO
#endif

#undef TG_TEMPLATE
