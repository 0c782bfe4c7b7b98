#include "server/plan.h"
#include "base/limits.h"

struct plan plan_checkin(const struct device_checkin *row, const struct checkin_request *req,
			 const uint8_t report_sha256[static SHA256_SIZE], int64_t now_s)
{
	struct plan p = {
		.report = req->n_events > 0 ||
			  memcmp(row->report_sha256, report_sha256, SHA256_SIZE) != 0,
		.image = req->image_ts != row->image_ts,
	};

	/* Another number than ours: the answer was lost, or the device was set back. */
	p.director = row->stale || row->director_plan == 0 || row->director_plan != row->plan ||
		     req->director_ts != row->director_ts || now_s >= row->director_refresh_at;
	return p;
}

bool plan_report_hash(uint8_t ret[static SHA256_SIZE], const struct checkin_request *req,
		      struct err *e)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_CHECKIN_BODY);
	struct checkin_request bare = *req;

	memset(bare.nonce, 0, sizeof(bare.nonce));
	bare.events = NULL;
	bare.n_events = 0;
	bare.doc = NULL;
	bare.empty_ok = false; /* about the answer, not the device */
	if (!checkin_request_encode(&bare, &text, e))
		return false;
	sha256(ret, text.p, text.n);
	return true;
}

uint32_t plan_poll_s(uint64_t interval_s, uint64_t random)
{
	return (uint32_t)(interval_s + random % (interval_s / 10 + 1));
}
