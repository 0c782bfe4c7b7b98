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
#define LIMIT_TUF_KEYS 256       /* in one role's key list */
#define LIMIT_TUF_SIGNATURES 64  /* on one file; each may cost a verification */
#define LIMIT_TUF_ROLES 4096     /* delegations of one role: products */
#define LIMIT_TUF_ROLE_NAME 80   /* "releases." and a name fit; encoded it fits a file name */
#define LIMIT_TUF_PATH 1024      /* a target's path */
#define LIMIT_UPTANE_POLICIES 64 /* bundles that reach one device */

#define LIMIT_JSON_DEPTH 32      /* nesting; ours needs 8 */
#define LIMIT_JSON_VALUES 500000 /* in one document: the largest TUF targets; 40 MB of memory */
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
#define LIMIT_DISK_NAME 20  /* a virtio-blk serial number has no more */
#define LIMIT_FILE_NAME 128 /* files beside a release description */
#define LIMIT_CMDLINE 1024  /* of a model; the kernel takes 2048, the hypervisor adds its own */
#define LIMIT_VCPUS 64
#define LIMIT_MEMORY_MIB 65536
#define LIMIT_HEALTH_DEADLINE_S 86400 /* a phone that needs a day to start is broken */

#define LIMIT_HOST 253       /* a DNS name */
#define LIMIT_ALLOW_HOSTS 64 /* rules of one network allow-list */
#define LIMIT_POLICIES 64    /* bundles that reach one device */
#define LIMIT_APPS_CONFIG \
	256 /* entries of apps.config; with the next: fits a configuration drive */
#define LIMIT_APPS_VALUE 512 /* bytes of one of them */

#define LIMIT_COMPONENT_SIZE (UINT64_C(1) << 40) /* 1 TiB, far below 2^63 */
#define LIMIT_FRAME_SIZE 1048576  /* plain bytes in one seekable frame; decoder memory */
#define LIMIT_SEEK_FRAMES 1048576 /* frames in one object: 1 TiB of 1 MiB frames */

#define LIMIT_CHECKIN_BODY 65536     /* a check-in request; idle ones are under 1 KiB */
#define LIMIT_CHECKIN_ANSWER 1048576 /* with the director's metadata and offers */
#define LIMIT_EVENTS 32              /* in one check-in; further ones wait for the next */
#define LIMIT_EVENTS_BEHIND \
	1048576 /* numbers a record that was put back may lag; a server cannot use them all up */
#define LIMIT_OFFER_DELTAS 8 /* deltas offered for one component */
#define LIMIT_POLL_S 604800  /* longest time between two polls: a week */
#define LIMIT_ENROL_BODY 16384
#define LIMIT_ATTRIBUTES 32 /* of one device, told at enrolment */
#define LIMIT_ATTRIBUTE 128 /* bytes of one attribute's value, and of a device's name */
#define LIMIT_SESSION_ID 96
#define LIMIT_SESSION_BODY 256
#define LIMIT_ROTATION_BODY 8192 /* new keys of a handset, and its former changes */
#define LIMIT_ROTATIONS_DAY 16   /* of one handset; each leaves a row for good */
#define LIMIT_ROTATIONS_KEPT 15  /* and one more: what an old server is told fits into a day */
#define LIMIT_SMALL_BODY 65536   /* JSON of the admin API that carries no metadata */
#define LIMIT_MISSING_BODY 1048576 /* hashes of the objects of many releases */
#define LIMIT_PUBLISH_BODY (2 * LIMIT_TUF_TARGETS + 1048576) /* metadata as escaped text */
#define LIMIT_PATH 1024                                      /* of a request */
#define LIMIT_ADMIN_BODY 5242880 /* a JSON body of the admin API: the largest TUF targets */
#define LIMIT_HTTP_HEADERS 16384 /* all header lines of one request */
#define LIMIT_TUS_CHUNK 67108864 /* one PATCH; larger uploads take several */
#define LIMIT_SECRET_FILE 4096   /* token, passphrase and key files */
#define LIMIT_SETTINGS_FILE 1048576
#define LIMIT_TICKET 1024 /* ticket text */

#define LIMIT_DELTA_IMAGE LIMIT_COMPONENT_SIZE
#define LIMIT_DELTA_STREAM \
	67108864 /* plain bytes of one stream seen through: a cut costs decoding one again */
#define LIMIT_DELTA_STREAMS \
	65536 /* old streams of a delta, new ones of a frame: 2 MiB of table */
#define LIMIT_DELTA_PARTS \
	65536 /* further parts of all old streams; parts of a frame's new ones */
#define LIMIT_DELTA_KEPT \
	2097152 /* parts that wait for their place while applying; taken from the cache below */
#define LIMIT_DELTA_RECIPE 1048576 /* how one stream is packed again */
#define LIMIT_DELTA_WORK \
	34359738368 /* steps of packing (guess.h) and of reading recipes (code.h) in a delta */
#define LIMIT_DELTA_UNPACK 34359738368 /* steps of unpacking old streams (space.h), and */
#define LIMIT_DELTA_UNPACK_BYTE 64     /* for each byte of the new image */
#define LIMIT_DELTA_CACHE 4194304      /* unpacked old streams kept while applying; of these */
#define LIMIT_DELTA_LENT 3145728       /* make room for the dictionary of inserts in bulk */
#define LIMIT_DELTA_OPS 131072         /* commands of one frame: 3 MiB while applying */
#define LIMIT_DELTA_FRAME 67108864     /* coded bytes of one frame; ours have about 4 MiB */
#define LIMIT_DELTA_FRAMES 262144      /* 8 MiB while applying */
#define LIMIT_DELTA_HEAD 8388608 /* header, index and hashes: 1 TiB in segments of 4 MiB */

#endif
