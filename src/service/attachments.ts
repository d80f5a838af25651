import { createHash, randomBytes } from 'node:crypto'
import type { Readable } from 'node:stream'
import { v7 as uuidv7 } from 'uuid'
import type { Actor } from '../domain/actor.ts'
import { Problem, says } from '../domain/problems.ts'
import { sight } from '../domain/view.ts'
import { isSigned, signLink, type Link, type LinkedFile } from './attachment-links.ts'
import { tenantHere, type Db } from './db.ts'
import type { Keyring } from './keyring.ts'
import { load } from './load.ts'
import { tenant } from './tenants.ts'
import type { Turns } from './turns.ts'

/** 照片和材料: taken in loose, attached by a verb, read by whoever sees the request whole. Never on a wall. */

export interface AttachmentDeps {
  db: Db
  keyring: Keyring
  files: Files
  images: { clean(bytes: Buffer): Promise<Content> }
  /** How many uploads are decoded and stored at once: what they take of memory is bounded by it. */
  turns: Turns
  /** Of one tenant. */
  quotaMib: number
}

export interface Files {
  put(key: string, bytes: Buffer, type: string): Promise<void>
  open(key: string): Promise<Readable>
  remove(key: string): Promise<void>
}

type Kind = 'photo' | 'paper'
type Content =
  | { kind: 'photo'; type: string; bytes: Buffer; thumbnail: Buffer; width: number; height: number }
  | { kind: 'paper'; type: string; bytes: Buffer }

/** What came in, waiting on disk. */
export interface Upload {
  readonly bytes: number
  read(): Promise<Buffer>
}

export interface AttachmentView {
  id: string
  kind: Kind
  type: string
  /** Of the file as stored. */
  bytes: number
  width?: number
  height?: number
  createdAt: Date
}

/** Wishes are told with a photo or three. */
export const MOST_BYTES = 10 * 1_048_576

/** Uploads that were never attached, of one owner: a forgotten one is cleared away after a day. An app uploads for many. */
const MOST_LOOSE = { person: 60, app: 5_000 }

/** KiB in use, by tenant: bytes would not fit the counter. */
export const QUOTA_KEY = 'attachment/kib'
/** What a row takes of it. */
export const KIB = `((a.bytes + a."thumbBytes" + 1023) / 1024)`

/**
 * Takes a file in. The row comes first and holds the room: every file that lies in the storage has a row, so that whatever
 * ends the process in between, the clearing finds it. Until this answers nobody knows the id, so nobody attaches half a file.
 * @throws Problem validation-failed, file-type-unsupported, file-unreadable, image-too-large, storage-full, limit-reached, overloaded
 */
export async function keepUpload({ db, files, images, turns, quotaMib }: AttachmentDeps, upload: Upload, actor: Actor): Promise<AttachmentView> {
  if (upload.bytes === 0) throw new Problem('validation-failed', { errors: [{ pointer: '/file', code: 'too-small', message: says('文件是空的', 'The file is empty') }] })
  return turns.run(async () => {
    const content = await images.clean(await upload.read())
    const kept = await takeIn(db, content, actor, quotaMib)
    try {
      await files.put(kept.key, content.bytes, content.type)
      if (content.kind === 'photo') await files.put(kept.thumbKey!, content.thumbnail, content.type)
    } catch (error) {
      await giveUp(db, kept.id)
      throw error
    }
    const { id, createdAt } = kept
    const size = content.kind === 'photo' ? { width: content.width, height: content.height } : {}
    return { id, kind: content.kind, type: content.type, bytes: content.bytes.length, ...size, createdAt }
  })
}

interface Kept {
  id: string
  key: string
  thumbKey: string | null
  createdAt: Date
}

const takeInSql = (owner: OwnerColumn) => `
  WITH loose AS (SELECT count(*)::int AS n FROM attachment a WHERE a."tenantId" = $1 AND a."${owner}" = $3 AND a."requestId" IS NULL AND a."erasedAt" IS NULL),
  room AS (INSERT INTO counter AS c ("tenantId", key, value) SELECT $1, '${QUOTA_KEY}', $12::int FROM loose WHERE n < $14 AND $12 <= $13::int
    ON CONFLICT ("tenantId", key) DO UPDATE SET value = c.value + $12 WHERE c.value + $12 <= $13 RETURNING key),
  kept AS (INSERT INTO attachment ("tenantId", id, "${owner}", kind, type, bytes, "thumbBytes", width, height, sha256, key, "thumbKey", "createdAt")
    SELECT $1, $2, $3, $4, $5, $6, $7, $8::int, $9::int, $10, $11, CASE WHEN $4 = 'photo' THEN $11 || '-thumbnail' END, wishwall_now() FROM room RETURNING "createdAt", "thumbKey")
  SELECT n AS loose, kept.* FROM loose LEFT JOIN kept ON true`

async function takeIn(db: Db, content: Content, actor: Actor, quotaMib: number): Promise<Kept> {
  const { column, id: owner, mostLoose } = ownerOf(actor)
  const [id, key] = [uuidv7(), `${tenantHere()}/${randomBytes(16).toString('hex')}`]
  const { thumbnail, width, height } = content.kind === 'photo' ? content : { thumbnail: Buffer.alloc(0), width: null, height: null }
  const kib = Math.ceil((content.bytes.length + thumbnail.length) / 1024)
  const { rows: [row] } = await db.app.query<{ loose: number; createdAt: Date | null; thumbKey: string | null }>({
    name: `attachment_take_in_${column}`,
    text: takeInSql(column),
    values: [
      tenantHere(), id, owner, content.kind, content.type, content.bytes.length, thumbnail.length, width, height,
      createHash('sha256').update(content.bytes).digest(), key, kib, quotaMib * 1024, mostLoose,
    ],
  })
  if (row?.createdAt) return { id, key, thumbKey: row.thumbKey, createdAt: row.createdAt }
  if (row && row.loose >= mostLoose) throw new Problem('limit-reached', { detail: says('您上传后没有使用的文件太多', 'Too many of your uploads are not attached to anything'), facts: { limit: mostLoose } })
  throw new Problem('storage-full')
}

type OwnerColumn = 'ownerPersonId' | 'ownerClientId'

function ownerOf(actor: Actor): { column: OwnerColumn; id: string; mostLoose: number } {
  if (actor.kind === 'system') throw new Error('the system uploads nothing')
  return actor.kind === 'person' ? { column: 'ownerPersonId', id: actor.id, mostLoose: MOST_LOOSE.person } : { column: 'ownerClientId', id: actor.clientId, mostLoose: MOST_LOOSE.app }
}

/** Its files, as far as there are any, are cleared away; should this fail too, then after a day. */
const giveUp = (db: Db, id: string): Promise<unknown> =>
  db.app.query({ name: 'attachment_give_up', text: `UPDATE attachment SET "erasedAt" = wishwall_now() WHERE "tenantId" = $1 AND id = $2`, values: [tenantHere(), id] }).catch(() => {})

/**
 * That the actor may attach these: uploaded by the same person or app, and nowhere yet. `commit` attaches them, and undoes
 * itself when another was faster; decided again, that is told here.
 * @param requestId what they are to be attached to, if it is there already: for the words of the refusal only
 * @throws Problem attachment-unknown with a pointer to each; what is another's is not told from what does not exist
 */
export async function checkAttachable(db: Db, ids: readonly string[], actor: Actor, requestId?: string): Promise<void> {
  if (ids.length === 0) return
  const { column, id: owner } = ownerOf(actor)
  const { rows } = await db.app.query<{ id: string; requestId: string | null }>({
    name: `attachment_attachable_${column}`,
    text: `SELECT id, "requestId" FROM attachment WHERE "tenantId" = $1 AND id = ANY ($2) AND "${column}" = $3 AND "erasedAt" IS NULL`,
    values: [tenantHere(), ids, owner],
  })
  const own = new Map(rows.map((row) => [row.id, row.requestId]))
  const faults = ids.flatMap((id, index) => {
    const there = own.get(id)
    if (there === null && ids.indexOf(id) === index) return []
    return [{ pointer: `/attachments/${index}`, message: there === null ? TWICE : there !== undefined && there === requestId ? HERE_ALREADY : UNKNOWN }]
  })
  if (faults.length > 0) throw new Problem('attachment-unknown', { errors: faults })
}

const TWICE = says('同一个附件写了两次', 'The same attachment twice')
const HERE_ALREADY = says('已经附在这件点单上', 'Attached to this request already')
const UNKNOWN = says('没有这个附件，或不是您上传的，或已经用过', 'No such attachment, or uploaded by another, or used already')

/** With links that open it, for as long as they last. */
export interface AttachedView extends AttachmentView {
  /** Of the event it is shown with. */
  seq: number
  attachedAt: Date
  url: string
  thumbnailUrl: string | null
  expiresAt: Date
}

const LINKS_LAST_MS = 600_000

type AttachedRow = Omit<AttachmentView, 'width' | 'height'> & { width: number | null; height: number | null; seq: number; attachedAt: Date; now: Date }

/**
 * What hangs on a request, in the order of its events, for those who see it whole.
 * @param ref id or number
 * @throws Problem request-not-found
 */
export async function attachmentsOf({ db, keyring }: Pick<AttachmentDeps, 'db' | 'keyring'>, ref: string, actor: Actor): Promise<AttachedView[]> {
  const facts = await load(db, ref)
  if (!facts || sight(actor, facts) !== 'full') throw new Problem('request-not-found')
  const { rows } = await db.app.query<AttachedRow>({
    name: 'attachments_of',
    text: `SELECT id, kind, type, bytes, width, height, "createdAt", seq, "attachedAt", wishwall_now() AS now
      FROM attachment WHERE "tenantId" = $1 AND "requestId" = $2 AND "erasedAt" IS NULL ORDER BY seq, id`,
    values: [tenantHere(), facts.request.id],
  })
  const { code } = await tenant(db)
  return rows.map(({ now, width, height, ...row }) => {
    const expires = Math.floor((now.getTime() + LINKS_LAST_MS) / 1000)
    const link = (file: LinkedFile): string => {
      const signature = signLink(keyring, { tenantId: tenantHere(), id: row.id, file, expires })
      return `/v1/attachments/${row.id}/${file}?${new URLSearchParams({ tenant: code, expires: String(expires), signature })}`
    }
    return {
      ...row, ...(width !== null && height !== null && { width, height }), expiresAt: new Date(expires * 1000),
      url: link(row.kind === 'photo' ? 'photo.webp' : 'paper.pdf'), thumbnailUrl: row.kind === 'photo' ? link('thumbnail.webp') : null,
    }
  })
}

export interface OpenFile {
  type: string
  bytes: number
  stream: Readable
}

/**
 * Opens what a link of this tenant is for. A forged one is not told from one to nothing.
 * @throws Problem not-found, link-expired
 */
export async function openLink({ db, keyring, files }: Pick<AttachmentDeps, 'db' | 'keyring' | 'files'>, link: Omit<Link, 'tenantId'>, signature: string): Promise<OpenFile> {
  const tenantId = tenantHere()
  if (!isSigned(keyring, { ...link, tenantId }, signature)) throw new Problem('not-found')
  const thumbnail = link.file === 'thumbnail.webp'
  const { rows: [row] } = await db.app.query<{ type: string; bytes: number; key: string | null; now: Date }>({
    name: thumbnail ? 'attachment_thumbnail' : 'attachment_file',
    text: `SELECT type, ${thumbnail ? '"thumbBytes" AS bytes, "thumbKey" AS key' : 'bytes, key'}, wishwall_now() AS now
      FROM attachment WHERE "tenantId" = $1 AND id = $2 AND "requestId" IS NOT NULL AND "erasedAt" IS NULL`,
    values: [tenantId, link.id],
  })
  if (!row?.key) throw new Problem('not-found')
  if (row.now.getTime() > link.expires * 1000) throw new Problem('link-expired')
  return { type: row.type, bytes: row.bytes, stream: await files.open(row.key) }
}
