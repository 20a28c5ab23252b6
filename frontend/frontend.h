/* The door of frontend/: ONNX files in and out.
 *
 * In: wire scan, then protobuf-c on nodes only; weights are referenced where they lie; functions are
 * inlined; every node is raised to the newest meaning of its operator. Out: lowered to the opset asked for,
 * wire format written directly.
 */
#ifndef TG_FRONTEND_H
#define TG_FRONTEND_H

#include "ir/ir.h"

typedef struct {
    bool strict; /* what is usually tolerated with a warning is refused */
} TgLoadOptions;

/* Reads a model: ONNX by content, text form if the name ends in .tg. options may be NULL. NULL: recorded. */
TgModel *tg_load(Tg *tg, const char *path, const TgLoadOptions *options);

typedef enum {
    TG_EXTERNAL_AUTO, /* one external file when the data exceeds 1 GiB, otherwise inside the model */
    TG_EXTERNAL_KEEP, /* untouched weights stay where the source has them; new ones go to one new file */
    TG_EXTERNAL_ALL,  /* everything of 1 KiB and more into one external file */
    TG_EXTERNAL_NONE  /* inside the model; refused beyond 2 GiB */
} TgExternal;

typedef struct {
    int64_t opset;     /* 0: the model's own */
    TgExternal external;
    bool provenance;   /* names of sources and rewrites into metadata_props of nodes (IR version >= 10) */
    bool sync;
} TgSaveOptions;

/* Writes `path` ("-": standard output) and, where needed, its external data beside it. Nothing is left behind
 * on failure. */
bool tg_save(TgModel *model, const char *path, const TgSaveOptions *options);

/* Test data: a file that holds one TensorProto, as in the ONNX backend test layout; and back. */
TgTensor *tg_load_tensor(TgArena *arena, const char *path);
bool tg_save_tensor(Tg *tg, const TgTensor *tensor, const char *name, const char *path);

/* --- for tools and tests -------------------------------------------------------------------------------- */

/* Rewrites every node so that it is valid in this opset of ai.onnx (tg_save does this on a clone).
 * False: an operator has no form there, recorded (TG_E_no_lowering). */
bool tg_lower(TgModel *model, int64_t opset);
int64_t tg_newest_opset(void);

#endif
