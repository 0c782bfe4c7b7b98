/* admin-cli/qr.h - a QR code in a terminal.
 *
 * UTF-8: half blocks, two rows of modules in a line; elsewhere two characters per module.  With
 * colours the code is black on white whatever the terminal's theme is; without, light modules are the
 * drawn ones, as most terminals are dark.  Four modules of quiet zone all around (ISO/IEC 18004 section
 * 6.3.8), without which scanners fail. */
#ifndef VALISE_ADMIN_CLI_QR_H
#define VALISE_ADMIN_CLI_QR_H

#include "base/buf.h"

struct qr_style {
	bool utf8, color;
};

/* Appends the drawing.  E_TOO_BIG: more than a QR code of version 40 holds. */
bool qr_draw(struct buf *out, const char *text, struct qr_style style, struct err *e) MUST_USE;

#endif
