// Uploads one file with tus-js-client, and prints what came of it: node upload.mjs '{"library": "tus-js-client-4", …}'
import { createReadStream } from 'node:fs'

const asked = JSON.parse(process.argv[2])
const { Upload } = await import(asked.library)
const told = { progress: 0, retries: 0 }

const upload = new Upload(createReadStream(asked.file), {
  endpoint: asked.endpoint,
  uploadUrl: asked.uploadUrl ?? null,
  headers: { Authorization: `Bearer ${asked.token}` },
  metadata: { filename: asked.name },
  protocol: asked.protocol,
  chunkSize: asked.chunkSize ?? Infinity,
  parallelUploads: asked.parallelUploads ?? 1,
  uploadDataDuringCreation: asked.uploadDataDuringCreation ?? false,
  retryDelays: [0, 200, 500, 1000],
  onShouldRetry: () => {
    told.retries += 1
    return true
  },
  onProgress: () => {
    told.progress += 1
  },
  onUploadUrlAvailable: () => {
    if (upload.url) process.stderr.write(`${upload.url}\n`)
  },
  onError: (error) => {
    console.log(JSON.stringify({ ...told, error: String(error) }))
    process.exit(1)
  },
  onSuccess: () => {
    console.log(JSON.stringify({ ...told, url: upload.url }))
  },
})
upload.start()
