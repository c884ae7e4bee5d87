/* graph/capture.h -- recording a function once, and running its plan with other arguments.
 *
 * A capture is the outermost transform of its thread. Nothing that depends on its arguments can
 * be looked at, since the plan will be run with others, and nothing from outside be written.
 */
#ifndef PYARR_GRAPH_CAPTURE_H
#define PYARR_GRAPH_CAPTURE_H

#include "graph/graph.h"

typedef struct Capture Capture;
struct Plan;

/* Open one on this thread, where no trace may be open; ended as other transforms are. */
Transform *capture_open(void);
/* The next argument, as the function gets it: a recorded array over x's elements. */
Array *capture_argument(Transform *t, Array *x);
/* The plan that gives `outs`. *made is NULL, without an error, where there can be no plan
 * (executor=nodes, arrays of other devices, too many nodes). */
Status capture_make(Transform *t, int nout, Array *const *outs, Capture **made);
/* New results for these arguments, which have the dtypes, shapes and strides of the recorded. */
Status capture_run(const Capture *capture, Array *const *args, Array **outs);
int capture_arguments(const Capture *capture);
int capture_results(const Capture *capture);
void capture_free(Capture *capture); /* NULL is fine */

bool capture_is_open(void); /* on this thread */

#endif
