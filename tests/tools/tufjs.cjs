#!/usr/bin/env node
// tests/tools/tufjs.cjs - other people's TUF: the client tuf-js, unmodified, against our repositories,
// and repositories made with @tufjs/models for our client.
//
//	tufjs.cjs client METADATA-URL TARGETS-URL ROOT TARGET OUT   refresh, download one target
//	tufjs.cjs make DIR                                        a repository with all three key types
//	tufjs.cjs serve DIR PORTFILE                              static files on a port that the system chooses
//
// The packages are looked for below NODE_PATH.
'use strict';

const crypto = require('crypto');
const fs = require('fs');
const http = require('http');
const os = require('os');
const path = require('path');

async function client(metadataUrl, targetsUrl, root, target, out) {
	const { Updater } = require('tuf-js');
	const dir = fs.mkdtempSync(path.join(process.env.TMPDIR || os.tmpdir(), 'tufjs-'));

	fs.copyFileSync(root, path.join(dir, 'root.json'));
	const updater = new Updater({
		metadataDir: dir, metadataBaseUrl: metadataUrl, targetDir: dir, targetBaseUrl: targetsUrl,
		config: { fetchRetries: 0 },
	});
	await updater.refresh();
	const info = await updater.getTargetInfo(target);
	if (!info)
		throw new Error(`no target ${target}`);
	await updater.downloadTarget(info, out);
	console.log(`${info.path}: ${info.length} bytes`);
}

// Keys with their TUF form; `sign` gives what verifiers of the scheme expect.
function newKey(keytype) {
	const { Key } = require('@tufjs/models');
	const { canonicalize } = require('@tufjs/canonical-json');
	let pair, scheme, text, options;

	if (keytype === 'ed25519') {
		pair = crypto.generateKeyPairSync('ed25519');
		scheme = 'ed25519';
		text = pair.publicKey.export({ type: 'spki', format: 'der' }).subarray(-32).toString('hex');
	} else if (keytype === 'ecdsa') {
		pair = crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' });
		scheme = 'ecdsa-sha2-nistp256';
		text = pair.publicKey.export({ type: 'spki', format: 'pem' });
	} else {
		pair = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 });
		scheme = 'rsassa-pss-sha256';
		text = pair.publicKey.export({ type: 'spki', format: 'pem' });
		options = { padding: crypto.constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 };
	}
	const json = { keytype, scheme, keyval: { public: text } };
	const keyID = crypto.createHash('sha256').update(canonicalize(json)).digest('hex');
	return {
		key: new Key({ keyID, keyType: keytype, scheme, keyVal: { public: text } }),
		sign: data => crypto.sign(keytype === 'ed25519' ? null : 'sha256', data,
			{ key: pair.privateKey, ...options }).toString('hex'),
	};
}

function make(dir) {
	const m = require('@tufjs/models');
	const keys = { root: newKey('rsa'), timestamp: newKey('ed25519'), snapshot: newKey('ecdsa'),
		targets: newKey('ecdsa'), delegated: newKey('ed25519') };
	const common = { version: 1, specVersion: '1.0.34', expires: new Date(Date.now() + 86400000)
		.toISOString().replace(/\.\d+Z$/, 'Z') };
	const content = Buffer.from('made by others\n');
	const sha256 = crypto.createHash('sha256').update(content).digest('hex');

	const write = (name, signed, signer) => {
		const metadata = new m.Metadata(signed);
		metadata.sign(data => new m.Signature({ keyID: signer.key.keyID, sig: signer.sign(data) }));
		fs.writeFileSync(path.join(dir, 'metadata', name), JSON.stringify(metadata.toJSON(), null, 1));
	};
	fs.mkdirSync(path.join(dir, 'metadata'), { recursive: true });
	fs.mkdirSync(path.join(dir, 'targets/files'), { recursive: true });
	fs.writeFileSync(path.join(dir, `targets/files/${sha256}.it`), content);

	const root = new m.Root({ ...common, consistentSnapshot: true });
	for (const role of ['root', 'timestamp', 'snapshot', 'targets'])
		root.addKey(keys[role].key, role);
	write('1.root.json', root, keys.root);
	const delegated = new m.Targets({ ...common });
	delegated.addTarget(new m.TargetFile({ path: 'files/it', length: content.length, hashes: { sha256 } }));
	write('1.some role.json'.replace(' ', '%20'), delegated, keys.delegated);
	const targets = m.Targets.fromJSON({ ...new m.Targets({ ...common }).toJSON(), delegations: {
		keys: { [keys.delegated.key.keyID]: keys.delegated.key.toJSON() },
		roles: [{ name: 'some role', keyids: [keys.delegated.key.keyID], threshold: 1,
			terminating: false, paths: ['files/*'] }],
	} });
	write('1.targets.json', targets, keys.targets);
	write('1.snapshot.json', new m.Snapshot({ ...common, meta: {
		'targets.json': new m.MetaFile({ version: 1 }), 'some role.json': new m.MetaFile({ version: 1 }),
	} }), keys.snapshot);
	write('timestamp.json', new m.Timestamp({ ...common, snapshotMeta: new m.MetaFile({ version: 1 }) }),
		keys.timestamp);
}

function serve(dir, portFile) {
	const server = http.createServer((request, response) => {
		const file = path.join(dir, path.normalize('/' + request.url));

		fs.readFile(file, (error, data) => {
			response.writeHead(error ? 404 : 200);
			response.end(error ? 'no such file\n' : data);
		});
	});
	server.listen(0, '127.0.0.1', () => {
		fs.writeFileSync(portFile + '.new', String(server.address().port));
		fs.renameSync(portFile + '.new', portFile);
	});
}

const commands = { client, make, serve };
Promise.resolve(commands[process.argv[2]](...process.argv.slice(3))).catch(error => {
	console.error(String(error.stack || error));
	process.exit(1);
});
