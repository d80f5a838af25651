import type {} from '@fastify/multipart'
import type { FastifyRequest } from 'fastify'
import { Problem, says } from '../domain/problems.ts'
import { escaped } from './validation.ts'

interface UploadOptions<T> {
  mostBytes: number
  /** Gets the file as it comes in; reads no further than `mostBytes` and one more. */
  take(source: AsyncIterable<Uint8Array>): Promise<T>
}

/** Part headers, boundaries and a name: what a form of one file has besides the file. */
const FORM = 16_384

/**
 * The one file of a `multipart/form-data` request, in its field `file` (as wx.uploadFile sends it). What comes is handed on
 * while it comes.
 * @throws Problem media-type-unsupported, body-too-large, body-malformed, validation-failed
 */
export async function receiveFile<T extends { drop(): Promise<void> }>(request: FastifyRequest, { mostBytes, take }: UploadOptions<T>): Promise<T> {
  let taken: T | undefined
  try {
    if (!request.isMultipart()) throw new Problem('media-type-unsupported', { detail: says('应为 multipart/form-data', 'Expected multipart/form-data') })
    if (Number(request.headers['content-length']) > mostBytes + FORM) throw fileTooLarge(mostBytes)
    const limits = { files: 1, fields: 1, parts: 2, headerPairs: 20, fieldNameSize: 100, fieldSize: 100, fileSize: mostBytes + 1 }
    for await (const part of request.parts({ limits })) {
      if (part.fieldname !== 'file') throw unexpected(part.fieldname)
      if (part.type === 'field') throw notAFile()
      taken = await take(part.file)
    }
    if (!taken) throw new Problem('validation-failed', { errors: [{ pointer: '/file', code: 'required', message: says('必填', 'Required') }] })
    return taken
  } catch (error) {
    await taken?.drop()
    throw error instanceof Problem && error.code === 'body-too-large' ? fileTooLarge(mostBytes) : asRefusal(error)
  }
}

const fileTooLarge = (mostBytes: number): Problem =>
  new Problem('body-too-large', { detail: says(`每个文件至多 ${mostBytes / 1_048_576} MB`, `A file may have ${mostBytes / 1_048_576} MiB`), facts: { mostBytes } })

const unexpected = (field: string): Problem =>
  new Problem('validation-failed', { errors: [{ pointer: `/${escaped(field)}`, code: 'unknown', message: says('未知字段，文件应放在 file 中', 'Unknown field; the file goes into “file”') }] })

const notAFile = (): Problem =>
  new Problem('validation-failed', { errors: [{ pointer: '/file', code: 'type', message: says('应为带文件名的文件', 'Expected a file with a filename') }] })

const oneOnly = (): Problem =>
  new Problem('validation-failed', { errors: [{ pointer: '/file', code: 'too-big', message: says('每次只能上传一个文件，不带其他字段', 'One file at a time, and no other field') }] })

const LIMITS = new Set(['FST_FILES_LIMIT', 'FST_FIELDS_LIMIT', 'FST_PARTS_LIMIT'])
const MALFORMED = new Set(['FST_PROTO_VIOLATION', 'FST_INVALID_JSON_FIELD_ERROR', 'FST_MP_PREMATURE_CLOSE', 'ERR_STREAM_PREMATURE_CLOSE', 'ECONNRESET'])

/** The parser's own findings are errors without a code. */
function asRefusal(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof Problem) return error
  const code = 'code' in error ? String(error.code) : ''
  if (LIMITS.has(code)) return oneOnly()
  if (MALFORMED.has(code) || (code === '' && error.constructor === Error)) return new Problem('body-malformed', { cause: error })
  return error
}

const STILL_READ = 32 * 1_048_576
const STILL_READ_MS = 30_000
const STILL_OPEN_MS = 2_000

/**
 * For who is still sending when the answer goes out. A connection that is closed with bytes unread is reset, and the answer
 * may be lost with it; many a phone listens only when all is sent. So some more is read and thrown away, then no more, and
 * after a moment the line is cut.
 */
export function stopSending({ raw: request }: FastifyRequest): void {
  if (request.complete) return
  let left = STILL_READ
  const cutAfter = (ms: number): NodeJS.Timeout => setTimeout(() => request.destroy(), ms).unref()
  const patience = cutAfter(STILL_READ_MS)
  request.once('close', () => clearTimeout(patience))
  request.unpipe()
  request.on('data', ({ length }: Buffer) => {
    left -= length
    if (left > 0) return
    request.pause()
    cutAfter(STILL_OPEN_MS)
  })
  request.resume()
}
