/* Private to rules/: models on which rules are proved, made of a pattern and an example. */
#ifndef TG_INSTANCE_H
#define TG_INSTANCE_H

#include "match.h"

enum { SHAPE_RANK = 8, MAX_CHOICES = 64 };

/* A tensor type as an example writes it. */
typedef struct {
    TgDtype dtype;
    uint32_t rank;
    struct {
        int64_t n; /* if there is no symbol */
        TgName symbol;
    } dim[SHAPE_RANK];
} Shape;

/* What an example says of one name. */
typedef struct {
    bool given;
    bool is_input;   /* "input f32[2]": not constant even where the rule asks for that */
    TgName constant; /* "const i64[1] {-1}": as it stands */
    uint32_t n;      /* of shapes: 1, or the number of values of a tail */
    Shape at[MAX_OPERANDS];
    Computed number; /* of an attribute */
} Operand;

/* Everything that decides what the model of an example is; changed to try things near it. */
typedef struct {
    const Rule *rule;
    const XmlElement *example;
    Operand at[MAX_NAMES];
    int64_t opset;
    uint8_t choice[MAX_CHOICES]; /* by number: which spelling; 1: operands exchanged */
} Plan;

typedef struct {
    TgModel *model;
    TgNode anchor; /* where the rule should start */
} Instance;

/* False: the example cannot be read; recorded. */
bool plan_read(TgBook *book, const Rule *rule, const XmlElement *example, Plan *plan);
/* The model of a plan. Its model is NULL if no such model can be built; *why says why. Nothing is recorded.
 */
Instance instance_build(Tg *tg, const Plan *plan, TgName *why);

#endif
