/* engine/backend_onnxruntime.h - ONNX Runtime as an engine behind the same table as ours.
 *
 * It serves models with operators that the native engine does not know and is the opponent in benchmarks.
 * The library is opened at run time (ort_library.h). It runs on one thread with every optimisation and its
 * arena. One of its sessions belongs to a loaded model and is shared by all of ours, as its run function
 * may be called by many threads. What memory it holds it does not tell; session_memory counts only ours,
 * and the arena limit bounds only outputs that are converted. */
#ifndef ENGINE_BACKEND_ONNXRUNTIME_H
#define ENGINE_BACKEND_ONNXRUNTIME_H

#include "engine/backend.h"

extern const struct backend backend_onnxruntime;

/* Version of the library, such as "1.30.0"; NULL: there is none. Loads it. */
const char *onnxruntime_version(void);

#endif
