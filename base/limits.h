/* base/limits.h - every limit of the system, with its reason.  Sizes in bytes unless named. */
#ifndef VALISE_BASE_LIMITS_H
#define VALISE_BASE_LIMITS_H

/* TUF metadata, as trust model and conformance suites expect them. */
#define LIMIT_TUF_ROOT 512000
#define LIMIT_TUF_TIMESTAMP 16384
#define LIMIT_TUF_SNAPSHOT 2000000
#define LIMIT_TUF_TARGETS 5000000
#define LIMIT_TUF_ROTATIONS 256  /* root versions followed in one refresh */
#define LIMIT_TUF_DELEGATIONS 32 /* roles visited for one target */

#define LIMIT_JSON_DEPTH 32       /* nesting; ours needs 8 */
#define LIMIT_RELEASE_JSON 262144 /* a manifest with 64 components and 64 models is 60 kB */
#define LIMIT_POLICY_JSON 262144
#define LIMIT_CONTROL_LINE 65536 /* one line on a control socket */
#define LIMIT_HEALTH_LINE 4096   /* one line from the guest's health port */

#define LIMIT_NAME 64        /* product, component, model, group and policy names */
#define LIMIT_VERSION 64     /* version texts */
#define LIMIT_TEXT 512       /* reasons, details */
#define LIMIT_LOG_TAIL 16384 /* end of the serial log sent with a rollback report */
#define LIMIT_URL 512

#define LIMIT_COMPONENTS 64 /* in one release */
#define LIMIT_MODELS 64     /* in one release */
#define LIMIT_DISKS 8       /* read-only disks of one model */

#define LIMIT_COMPONENT_SIZE (UINT64_C(1) << 40) /* 1 TiB, far below 2^63 */
#define LIMIT_FRAME_SIZE 1048576  /* plain bytes in one seekable frame; decoder memory */
#define LIMIT_SEEK_FRAMES 1048576 /* frames in one object: 1 TiB of 1 MiB frames */

#define LIMIT_CHECKIN_BODY 65536 /* a check-in request; idle ones are under 1 KiB */
#define LIMIT_ADMIN_BODY 5242880 /* a JSON body of the admin API: the largest TUF targets */
#define LIMIT_HTTP_HEADERS 16384 /* all header lines of one request */
#define LIMIT_TUS_CHUNK 67108864 /* one PATCH; larger uploads take several */
#define LIMIT_SECRET_FILE 4096   /* token, passphrase and key files */
#define LIMIT_SETTINGS_FILE 1048576
#define LIMIT_TICKET 1024 /* ticket text */

#endif
