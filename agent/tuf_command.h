/* agent/tuf_command.h - `valise-agent tuf`: the TUF client by itself, with the command line that the
 * conformance suite of theupdateframework drives.
 *
 *	valise-agent tuf --metadata-dir D init ROOT
 *	valise-agent tuf --metadata-dir D --metadata-url U refresh
 *	valise-agent tuf --metadata-dir D --metadata-url U --target-name P... --target-dir T
 *		--target-base-url B download
 *
 * D holds root.json, timestamp.json, snapshot.json, targets.json and delegated roles under their
 * encoded names, each as it was received.  T gets one file per target, named by its encoded path; one
 * that is there and right is not fetched again.  Plain HTTP is allowed to this machine only.  The exit
 * status is 0 or 1.  It touches nothing of the agent's own state. */
#ifndef VALISE_AGENT_TUF_COMMAND_H
#define VALISE_AGENT_TUF_COMMAND_H

#include "base/cli.h"

extern const struct cli_opt tuf_command_opts[];

/* argv: the words behind "tuf".  Ends the process with status 1 instead of returning false. */
bool tuf_command(int argc, char **argv, struct err *e);

#endif
