#include "admin-cli/qr.h"

#include <errno.h>
#include <qrencode.h>

enum { QUIET = 4 };

static void qrcode_freep(QRcode **q)
{
	QRcode_free(*q);
}

static bool is_dark(const QRcode *q, int x, int y)
{
	if (x < 0 || y < 0 || x >= q->width || y >= q->width)
		return false;
	return q->data[y * q->width + x] & 1;
}

/* Which half blocks are inked; with colours the ink is black, else it is light. */
static const char *half_block(bool top, bool bottom)
{
	if (top)
		return bottom ? "\u2588" : "\u2580";
	return bottom ? "\u2584" : " ";
}

/* Letters are no solid ink, so with colours the background is the ink. */
static const char *block(bool inked, bool color)
{
	if (color)
		return inked ? "\033[40m  " : "\033[107m  ";
	return inked ? "##" : "  ";
}

static bool draw_line(struct buf *out, const QRcode *q, int y, struct qr_style style,
		      struct err *e)
{
	bool invert = !style.color;

	if (style.color && !buf_add_str(out, "\033[30;107m", e))
		return false;
	for (int x = -QUIET; x < q->width + QUIET; x++) {
		bool top = is_dark(q, x, y) != invert;
		bool bottom = is_dark(q, x, y + 1) != invert;
		const char *s = style.utf8 ? half_block(top, bottom) : block(top, style.color);

		if (!buf_add_str(out, s, e))
			return false;
	}
	return buf_add_str(out, style.color ? "\033[0m\n" : "\n", e);
}

bool qr_draw(struct buf *out, const char *text, struct qr_style style, struct err *e)
{
	/* Level M: a screen is clean, but a ticket should survive a photograph of it.  libqrencode
	 * itself takes the alphanumeric mode for the parts that allow it. */
	CLEANUP(qrcode_freep)
	QRcode *q = QRcode_encodeString(text, 0, QR_ECLEVEL_M, QR_MODE_8, 1);
	int step = style.utf8 ? 2 : 1;

	if (!q)
		return errno == ERANGE ? err_set(e, E_TOO_BIG, "too long for a QR code")
				       : err_sys(e, errno, "QR code");
	for (int y = -QUIET; y < q->width + QUIET; y += step) {
		if (!draw_line(out, q, y, style, e))
			return false;
	}
	return true;
}
