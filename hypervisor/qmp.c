#include "hypervisor/qmp.h"

#include "proto/jread.h"

#include <string.h>

const char qmp_hello[] = "{\"execute\":\"qmp_capabilities\"}\n";
const char qmp_powerdown[] = "{\"execute\":\"system_powerdown\"}\n";

enum { WORD_MAX = 64 };

enum qmp_said qmp_parse(const void *p, size_t n)
{
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	const struct jval *data;
	const char *event, *reason;
	struct err ignored;

	if (!jdoc_parse(&doc, p, n, &ignored))
		return QMP_OTHER;
	const struct jval *o = jdoc_root(doc);
	if (jval_type(o) != J_OBJ || !jobj_has(o, "event") ||
	    !jobj_str(&event, o, "event", WORD_MAX, &ignored) ||
	    strcmp(event, "SHUTDOWN") != 0 || !jobj_obj(&data, o, "data", &ignored) ||
	    !jobj_str(&reason, data, "reason", WORD_MAX, &ignored))
		return QMP_OTHER;
	if (strcmp(reason, "guest-shutdown") == 0)
		return QMP_SHUTDOWN_GUEST;
	if (strcmp(reason, "guest-reset") == 0 || strcmp(reason, "guest-panic") == 0)
		return QMP_SHUTDOWN_RESET;
	return QMP_SHUTDOWN_HOST;
}
