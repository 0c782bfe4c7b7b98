#include "admin-cli/cmd.h"

static const struct out_col cols[] = {
	{ "server version", "version", OUT_TEXT },
	{ "up for seconds", "uptime_s", OUT_TEXT },
	{ "server time", "time", OUT_TEXT },
	{ "server pin", "pin", OUT_TEXT },
	{ "you are", "token.name", OUT_TEXT },
	{ "you may", "token.scopes", OUT_LIST },
	{ "devices active", "devices.active", OUT_TEXT },
	{ "devices pending", "devices.pending", OUT_TEXT },
	{ "devices revoked", "devices.revoked", OUT_TEXT },
	{ "releases", "releases", OUT_TEXT },
	{ "rollouts", "rollouts", OUT_TEXT },
	{ "policies", "policies", OUT_TEXT },
	{ "objects", "objects.count", OUT_TEXT },
	{ "bytes of objects", "objects.bytes", OUT_BYTES },
	{ "image repository", "image", OUT_PAIRS },
	{ "director", "director", OUT_PAIRS },
};

bool cmd_status(int argc, char **argv, struct err *e)
{
	CLEANUP(remote_done) struct remote r = { 0 };
	struct remote_call c = { .route = ROUTE_STATUS };

	return remote_open(&r, REMOTE_TOKEN, e) &&
	       cmd_call_and_print(&r, &c, cols, ARRAY_SIZE(cols), e);
}
