/* tests/support/sig_samples.h - public keys and signatures over "a message" that OpenSSL's command
 * line made: good ones, and one of each kind that sig.h refuses. */
#ifndef VALISE_TESTS_SIG_SAMPLES_H
#define VALISE_TESTS_SIG_SAMPLES_H

/* P-256 */
#define PEM_P256                                                             \
	"-----BEGIN PUBLIC KEY-----\n"                                       \
	"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEp6d9rDjJjfA7RRdgcc1VEm9RDEOq\n" \
	"sTgx2i3eZfjt7xzKXJIWRx8JjbSCnfUSxzYxwlky2FPUYoPb1zWTqaL+kA==\n"     \
	"-----END PUBLIC KEY-----\n"

/* the same key with its point compressed */
#define PEM_P256_COMPRESSED                                                  \
	"-----BEGIN PUBLIC KEY-----\n"                                       \
	"MDkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDIgACp6d9rDjJjfA7RRdgcc1VEm9RDEOq\n" \
	"sTgx2i3eZfjt7xw=\n"                                                 \
	"-----END PUBLIC KEY-----\n"

/* the same key with the curve spelt out instead of named */
#define PEM_P256_EXPLICIT                                                    \
	"-----BEGIN PUBLIC KEY-----\n"                                       \
	"MIIBSzCCAQMGByqGSM49AgEwgfcCAQEwLAYHKoZIzj0BAQIhAP////8AAAABAAAA\n" \
	"AAAAAAAAAAAA////////////////MFsEIP////8AAAABAAAAAAAAAAAAAAAA////\n" \
	"///////////8BCBaxjXYqjqT57PrvVV2mIa8ZR0GsMxTsPY7zjw+J9JgSwMVAMSd\n" \
	"NgiG5wSTamZ44ROdJreBn36QBEEEaxfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5\n" \
	"RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9QIhAP////8AAAAA\n" \
	"//////////+85vqtpxeehPO5ysL8YyVRAgEBA0IABKenfaw4yY3wO0UXYHHNVRJv\n" \
	"UQxDqrE4Mdot3mX47e8cylySFkcfCY20gp31Esc2McJZMthT1GKD29c1k6mi/pA=\n" \
	"-----END PUBLIC KEY-----\n"

/* another curve */
#define PEM_P384                                                             \
	"-----BEGIN PUBLIC KEY-----\n"                                       \
	"MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAE/i1hn8NC0aztrVUmG2NzinD23Lmi0X1z\n" \
	"qCzdcwug0TWPRMQHJsUq0XaZpbb6wwRiMlv0MXD8B7JA1oB6UuVPfZ2uuIwCFfhi\n" \
	"FAM7Vd4rFeeAW27d0ysNaHCv6FIeRDUY\n"                                 \
	"-----END PUBLIC KEY-----\n"

/* a curve of the same size */
#define PEM_K256                                                             \
	"-----BEGIN PUBLIC KEY-----\n"                                       \
	"MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAEe65WLA96XQ47xgB6jrzm/IvD6Bf6lNJl\n" \
	"sLLQx/AsOMPxkbNVfLBkpTNHcyTwYYe3vAp0AAoo9lglvACXV/uRkg==\n"         \
	"-----END PUBLIC KEY-----\n"

/* RSA, 2048 bits */
#define PEM_RSA                                                              \
	"-----BEGIN PUBLIC KEY-----\n"                                       \
	"MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAsnfjpCMNrFru9mAvQzbW\n" \
	"Fy70uz0iYXCU0BGBPkgI8z4D4EF8xn9IfZAXEEA5H/lrxnAX3y+RQBFqSoXz1b1v\n" \
	"WTcXjUMUbnW4L4v0asNJ55k5eRDJTL//Mf4TC5iyiuBIFb4ge3Yj7DIQrJ47YTfU\n" \
	"i53J2eXQAm8z/1bQVpcCJO17bDajWOeZz2y5aO0x1NVQkx5i/tHbqVwO+giE/sd7\n" \
	"bo99/4VYWE1irYWUHhlNlzphLO7/0gMYU7kNsCBGZg14Z65fSmkP6/q6IwDMov2F\n" \
	"XxXmwDnCzd1uHz5wlT/CxXI5fV9lp4A2CnHBO96ixuePBum5RJkZdBrR2TxBSzPM\n" \
	"gQIDAQAB\n"                                                         \
	"-----END PUBLIC KEY-----\n"

/* too short */
#define PEM_RSA_1024                                                         \
	"-----BEGIN PUBLIC KEY-----\n"                                       \
	"MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDswfSKApu/2yh3UwjmItpo6ucT\n" \
	"PawpzoJpuv50G7XcO8ku0bkS5IrAGloV2BPFRIIxJgZi/8uqwFYIw/qf7wKjczX+\n" \
	"RiNHApFeX0XL9BzZDH5i11GzNpU9MS8UunbopcggK5HcIFZPvDjh3I9e2TmK8+Vx\n" \
	"0/jgMCNGOxPD/Gs5+wIDAQAB\n"                                         \
	"-----END PUBLIC KEY-----\n"

/* exponent 3 */
#define PEM_RSA_E3                                                           \
	"-----BEGIN PUBLIC KEY-----\n"                                       \
	"MIIBIDANBgkqhkiG9w0BAQEFAAOCAQ0AMIIBCAKCAQEA01FTAv48sCjFrazwy7jM\n" \
	"FilrHbF4t/j3I2uR2rR2sKBM0brHpCPJuL6Idq6k7f/xrsN8pA0XYt+/uJaJy1oC\n" \
	"zphTTe7k93QCc0/n2Z4BMcqc3DCIUR2JrYvF2vB5Z1/LHqHsIR3cC60otuAT9Pvt\n" \
	"pD+qkDhiYzRUs2XwSrcuSZOqeT9SrEGRShoyB+smE7xBkweHrjmUkH25hL+Zmgs2\n" \
	"j82oKR0PruWCwoDad/7+mZeh1l0/g2HumDUr1qbEY5xtAmGPzYtb6pdga61hVhQY\n" \
	"VPyHmJXHBOqZpM3Do5vXSWGmMv1eItUqFKgHVCPUD61Y0t2AOi8UsTuU1FqDw2fb\n" \
	"LQIBAw==\n"                                                         \
	"-----END PUBLIC KEY-----\n"

/* restricted to PSS by its type */
#define PEM_RSA_PSS                                                          \
	"-----BEGIN PUBLIC KEY-----\n"                                       \
	"MIIBIDALBgkqhkiG9w0BAQoDggEPADCCAQoCggEBAKnK7H4/Dj6I00GpmY4inKUw\n" \
	"ohFzQQv0K9QKzcpXzTbfl4h1Jkbh05n8CBjnpcgnkRT9Wtbry3O1vrKwCyXie/HR\n" \
	"+XwV1o34dWq3D+SSSFXGvVHcxhSia9uf8LaPYtUjc0JOPVh2QfCbXm++zpk0bIdl\n" \
	"O+pXQpat2iTWl8H9tXxVKS08IqKROYqAfohHVJcPtOwp8aJk5qBE47V8EnHZmVPc\n" \
	"Q9dzLmOoo3PqiFTffBHNyBo9g2IgQ8CT/TOcmOrfqEATzLICZe57wE1SkbXlXutU\n" \
	"LSZM27TQ39ACGp0FmrIb30ilvc194hTbVHoLzcRaLejxKzmDl3JGp1akCqPmLQkC\n" \
	"AwEAAQ==\n"                                                         \
	"-----END PUBLIC KEY-----\n"

/* not for ECDSA or RSA */
#define PEM_ED25519                                                      \
	"-----BEGIN PUBLIC KEY-----\n"                                   \
	"MCowBQYDK2VwAyEAHS6snmJu1HnW465WKALUw8jzaaB++55zuxiVypILXpA=\n" \
	"-----END PUBLIC KEY-----\n"

/* by PEM_P256 */
#define SIG_P256                                                                           \
	"304502202379c1750f318bd699468ecd6c93b5d57b20ed4e52e8da506e044e9e99e85ae9022100f0" \
	"da7722a6ab1c7da7154c7e1ec74065e1221838be310cfe67d01d19a1f7e026"

/* by PEM_RSA: PSS, SHA-256, salt of 32 bytes */
#define SIG_RSA                                                                            \
	"7f45a4d37c4a1fa7a0adf94f66eaeb346dbd1fa45dd0cf6efc80c8cf35b5bb9dbc5b8b71665de51e" \
	"b752811665e6b291c1ac5111aef7e930393dec76dfcadab7704151ae012708270b46ae68e234e989" \
	"2c0fc551dcde7407c2dc1ab3e13bc4f25508044302cf9aecc607f1eb6382282c22d84415c6e106fd" \
	"65b93f82ade5d11f3759326b9f7b256dee68c141e2e939d485615ae655286434d20f7471b8e89a70" \
	"adaa0e915ad87f8bc5cfeb9b24cb0a4f6e1338067261ab7c596e9be1b636bbff26a48cefdf328eab" \
	"d0222eb25959ec36df4a4b9b2717b6f99834a178251fa045af2672d64857e1ff5db1f25db12eb5a4" \
	"67cb60f64c9ae2ed29113fac486d99cd"

/* another length of salt */
#define SIG_RSA_SALT_20                                                                    \
	"0cd622a276dc1a7afdd01d9c0a266c0667c2b962e49a95cb1ab29c829f0290d524fddb62745ce555" \
	"c055651f8c409ad544bfaadb5596a88479e595159880390152d26d8768bd03585e7fc20affa8b76f" \
	"b8fa58ec6d65a438225204487be7dc87344223c1b7391b74caaa3340425e1f15c2ba2050153f66bd" \
	"91ddf28c233e2d4ff29cc1f32824358feeb966da6a1ed9727bb33cdeab824f67ddfb0d3419cc7b34" \
	"7f4d190b70629085164bfb51e0efc63611c6e8062d231ec82329658cf68dfb14252e4531c42dafdf" \
	"d165faa4fe83cc1f9a04f4ba6c08d2a6a0b949ffcc00a84fb86ce3522188b4dfcd20dbe721724ec6" \
	"a7b899257dd605cd0d6ad66aaf557aa6"

/* no salt */
#define SIG_RSA_SALT_0                                                                     \
	"a94ab82be24548431e45e36790eeb4dc40968f3f991adc5d34cf287e342f8bfe1a3e636f21106413" \
	"5f32fb9b089c139b67978c4457ae2da504d16f2142fa4f65100f25f52298d516f7645cb6957e1d53" \
	"ae07d0ca4086248098f9b793ce2973c8587cec94aab84d5422a86010c12dd27fd77c0caa6463964c" \
	"fef060e6e7462cba8209c551360bf4c07b824c46b2e8e78a776e53a4348cd0927620f2e3cb4f832a" \
	"097772d999b7274203bb510a8c043dadc2aa25f2e383458f66e5b20792beba9862835ad44170a4a1" \
	"f46e3066e548360a868ebb41d7cd476980048cac5a192ee65cfd6f10e86545cb55a817e7d7dd8b5f" \
	"7d3ce2bf9655830f15d12471fd35a7ac"

/* mask generation with SHA-1 */
#define SIG_RSA_MGF_SHA1                                                                   \
	"574c56de847b78bbce17466fdee48baccf5da1f602cb77c3f18d3f047ae57058728b97b550f98126" \
	"fa0ab11335c3bc6bac7e31fc92b2d67aa6f899608b2b7a2911381977d91ab4f0338c05f7bf6dbab3" \
	"90e66f63b4a90c4d48366684a708f31d115a35b393c240ca36918f23ca4af10d1f98096929e66da7" \
	"a94856c999cbebe89905ad2ff7a72125ebb73c8469c99ef570e6946a979b389d5d2454afe7c033b8" \
	"779653646cb9b02267ae53785733d730b5ec820333a6297410e8d1f077ae7b31879607be25aaa6f7" \
	"118030acea77f367ec9f4cdffb0f884bb005fd60739d1f1968fd271ed4eeffdaf0e57319a28da901" \
	"3fc2d16f1c900ad711569c7981fdcc59"

/* PKCS #1 v1.5 padding */
#define SIG_RSA_PKCS1                                                                      \
	"65af731e490e0b3caa0969313ce47e3c0a4bc356fa75aea3178801e63b90205a0266666f0958d04a" \
	"06ba1f449dcfee6719fef53f14447f41a6d4c47edf37692a326bdb15140f5ee6b190540087f2d030" \
	"3e10daeb8483755461df09db56730b54b509c917b665b36a738331d881551830b1de16e5d405ac14" \
	"8a71ff68a558b5fcb872003eba6e215569399f1e7715db188b43fd943fb3e36446fb247bf47e5f07" \
	"94597c995374e80ec0ebc45a504fa3d6b8a0ca777a1d211323caa7ca6672fb0a1396bc94f584241c" \
	"808d202ce6883a976ac3ade1a9ed6e6855e9404c27d1980b63c1c43f66b7715833f6875afea091e1" \
	"24060c2d683d24744fe15cc7498b4029"

#endif
