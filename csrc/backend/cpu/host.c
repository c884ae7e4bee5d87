/* backend/cpu/host.c -- the primitives whose work the host language does: functions of the
 * user, some Fourier transforms. */
#include "backend/cpu/cpu.h"

#include "base/hooks.h"

Status
cpu_run_on_host(const Call *call)
{
    if (host_hooks.primitive == NULL) {
        return err_set(ERR_RUNTIME, "%s: the host language is not there", op_info(call->op)->name);
    }
    return host_hooks.primitive(call) == 0 ? STATUS_OK : STATUS_ERROR;
}

Status
cpu_host_call(const Call *call)
{
    return cpu_run_on_host(call);
}
