import multipart from '@fastify/multipart'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { code, instant, uuid } from '../../domain/atoms.ts'
import { Problem, says } from '../../domain/problems.ts'
import { LINKED_FILES } from '../../service/attachment-links.ts'
import { MOST_BYTES, attachmentsOf, keepUpload, openLink, type AttachmentDeps, type Upload } from '../../service/attachments.ts'
import { inTenant } from '../../service/db.ts'
import { publicTenant } from '../../service/tenants.ts'
import { receiveFile, stopSending } from '../upload.ts'

const AttachmentSchema = z
  .strictObject({
    id: uuid.describe('点单和办理时写入 attachments'),
    kind: z.enum(['photo', 'paper']).describe('photo 照片，paper 材料（PDF）'),
    type: z.string().describe('存储的类型：照片一律为 image/webp'),
    bytes: z.int().describe('存储的大小，字节'),
    width: z.int().optional().describe('照片的宽，像素'),
    height: z.int().optional(),
    createdAt: instant,
  })
  .meta({
    id: 'Attachment', description: '附件：照片或材料',
    examples: [{ id: '0195f2a0-7c1e-7abc-8def-0123456789ab', kind: 'photo', type: 'image/webp', bytes: 214_332, width: 1920, height: 2560, createdAt: '2026-11-22T01:00:00.000Z' }],
  })

const AttachedSchema = AttachmentSchema
  .extend({
    seq: z.int().describe('属于办理经过的哪一步'),
    attachedAt: instant,
    url: z.string().describe('打开即为文件，不需要登录；请勿转发'),
    thumbnailUrl: z.string().nullable().describe('缩略图（至多 320 像素）；材料没有'),
    expiresAt: instant.describe('链接的失效时间，此后请重新读取本列表'),
  })
  .meta({ id: 'AttachedFile', description: '点单的附件' })

/** For the document alone: the file never becomes a body. */
const UploadSchema = z.any().meta({
  type: 'object', required: ['file'],
  properties: { file: { type: 'string', format: 'binary', contentMediaType: 'application/octet-stream', description: '一个文件：JPEG、PNG、WebP 照片或 PDF 材料，至多 10 MB' } },
})

const LINK_HEADERS = {
  'cache-control': 'private, no-store',
  // A page of another origin may show the picture, which the link allows; nothing in it runs, whatever it is taken for.
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'; sandbox",
  'cross-origin-resource-policy': 'cross-origin',
}

/** Uploads that one process takes in at once, most of them waiting on disk. */
const MOST_AT_ONCE = 64
const SECOND = 1000

interface Deps extends AttachmentDeps {
  spool(source: AsyncIterable<Uint8Array>, mostBytes: number): Promise<Upload & { drop(): Promise<void> }>
}

/** 照片和材料: uploading, the list of a request, and the links that open them. */
export const attachmentRoutes = (deps: Deps): FastifyPluginAsyncZod => async (app) => {
  await app.register(multipart)
  // Whatever the reason, be it that nobody is logged in: who is refused need not send 2 GB first to hear of it.
  app.addHook('onError', (request, _reply, _error, done) => {
    stopSending(request)
    done()
  })
  let uploads = 0

  app.post('/v1/attachments', {
    handlerTimeout: 180 * SECOND,
    config: { audience: 'staff', problems: ['file-type-unsupported', 'file-unreadable', 'image-too-large', 'storage-full', 'limit-reached'] },
    schema: {
      tags: ['数据'], summary: '上传照片或材料', operationId: 'uploadAttachment', consumes: ['multipart/form-data'],
      description: '每次一个文件，字段名 file。照片会重新绘制，去掉拍摄地点等全部附加信息；PDF 原样保存，其中的信息不会去掉。得到的 id 写入点单或办理的 attachments，24 小时内没有使用的自动删除。',
      body: UploadSchema, response: { 201: AttachmentSchema },
    },
  }, async (request, reply) => {
    if (uploads >= MOST_AT_ONCE) throw new Problem('overloaded', { detail: says('同时上传的文件太多', 'Too many uploads at once') })
    uploads++
    try {
      const upload = await receiveFile(request, { mostBytes: MOST_BYTES, take: (source) => deps.spool(source, MOST_BYTES) })
      const kept = await keepUpload(deps, upload, request.actor).finally(() => upload.drop())
      reply.code(201)
      return kept
    } finally {
      uploads--
    }
  })

  app.get('/v1/requests/:id/attachments', {
    config: { audience: 'staff', problems: ['request-not-found'] },
    schema: {
      tags: ['点单'], summary: '点单的附件', operationId: 'listRequestAttachments', description: '照片和材料，按办理的先后。只有能看到点单全部内容的人才能看到；链接十分钟内有效。',
      params: z.strictObject({ id: z.union([uuid, code]).describe('id 或单号') }), response: { 200: z.strictObject({ data: z.array(AttachedSchema) }) },
    },
  }, async ({ params, actor }) => ({ data: await attachmentsOf(deps, params.id, actor) }))

  app.get('/v1/attachments/:id/:file', {
    config: { public: true, problems: ['not-found', 'link-expired'] },
    schema: {
      tags: ['数据'], summary: '打开附件', operationId: 'openAttachment', description: '地址由 GET /v1/requests/{id}/attachments 给出，请原样使用。',
      params: z.strictObject({ id: uuid, file: z.enum(LINKED_FILES) }),
      querystring: z.strictObject({ tenant: code.optional(), expires: z.string().regex(/^[1-9]\d{9}$/), signature: z.string().max(64) }),
      produces: ['image/webp', 'application/pdf'], response: { 200: z.any().meta({ type: 'string', format: 'binary', description: '文件' }) },
    },
  }, async ({ params: { id, file }, query: { tenant, expires, signature } }, reply) => {
    const tenantId = await publicTenant(deps.db, tenant)
    const { type, bytes, stream } = await inTenant(tenantId, () => openLink(deps, { id, file, expires: Number(expires) }, signature))
    const [name, extension] = file.split('.')
    return reply.headers({
      ...LINK_HEADERS, 'content-type': type, 'content-length': bytes,
      'content-disposition': `${name === 'paper' ? 'attachment' : 'inline'}; filename="${name}-${id}.${extension}"`,
    }).send(stream)
  })
}
