// Does what it is told with ssh2, and prints what came of it: node sftp.mjs '{"host": …, "steps": [["put", "local", "remote"], …]}'
import { createReadStream, createWriteStream, mkdirSync, statSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import ssh2 from 'ssh2'

const asked = JSON.parse(process.argv[2])
const connection = new ssh2.Client()

function open() {
  return new Promise((resolve, reject) => {
    connection.on('error', reject)
    connection.on('close', () => reject(new Error('the connection was closed')))
    connection.on('keyboard-interactive', (_name, _instructions, _language, prompts, finish) => finish(prompts.map(() => asked.password)))
    connection.on('ready', () => connection.sftp((error, sftp) => (error ? reject(error) : resolve(sftp))))
    connection.connect({
      host: '127.0.0.1',
      port: asked.port,
      username: asked.user,
      password: asked.password,
      tryKeyboard: asked.methods.includes('keyboard-interactive'),
      privateKey: asked.privateKey,
      authHandler: ['none', ...asked.methods],
    })
  })
}

const sftp = await open().catch(failed)
const call = (name, ...words) =>
  new Promise((resolve, reject) => {
    connection.on('close', () => reject(new Error('the connection was closed')))
    sftp[name](...words, (error, value) => (error ? reject(error) : resolve(value)))
  })

const steps = {
  put: (local, remote) => call('fastPut', local, remote),
  get: (remote, local) => call('fastGet', remote, local),
  async resumePut(local, remote) {
    const { size } = await call('stat', remote)
    await pipeline(createReadStream(local, { start: size }), sftp.createWriteStream(remote, { flags: 'r+', start: size }))
  },
  async resumeGet(remote, local) {
    const { size } = statSync(local)
    await pipeline(sftp.createReadStream(remote, { start: size }), createWriteStream(local, { flags: 'a' }))
  },
  async putTree(local, remote) {
    await call('mkdir', remote)
    for (const entry of await readdir(local, { withFileTypes: true })) {
      const step = entry.isDirectory() ? steps.putTree : steps.put
      await step(join(local, entry.name), `${remote}/${entry.name}`)
    }
  },
  async getTree(remote, local) {
    mkdirSync(local)
    for (const entry of await call('readdir', remote)) {
      const step = entry.attrs.isDirectory() ? steps.getTree : steps.get
      await step(`${remote}/${entry.filename}`, join(local, entry.filename))
    }
  },
  renameOver: (from, to) => call('ext_openssh_rename', from, to),
  utimes: (remote, seconds) => call('utimes', remote, seconds, seconds),
  async mtime(remote) {
    console.log((await call('stat', remote)).mtime)
  },
  async atOnce(pairs) {
    await Promise.all(pairs.map(([local, remote]) => steps.put(local, remote)))
  },
}

function failed(error) {
  console.error(String(error))
  process.exit(1)
}

try {
  for (const [name, ...words] of asked.steps) await steps[name](...words)
} catch (error) {
  failed(error)
}
process.exit(0)
