import multipart from '@fastify/multipart'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { cursor, limit, uuid } from '../../domain/atoms.ts'
import { IMPORT_COLUMNS, IMPORT_KINDS, KIND_NAMES } from '../../domain/import-kinds.ts'
import { IMPORT_MODES } from '../../domain/imports.ts'
import { Problem } from '../../domain/problems.ts'
import type { WorkbookPort } from '../../service/calendar-import.ts'
import type { Db } from '../../service/db.ts'
import { importTemplate, mayImport, readImport, startImport } from '../../service/imports.ts'
import type { Keyring } from '../../service/keyring.ts'
import { Turns } from '../../service/turns.ts'
import { PageSchema } from '../request-schema.ts'
import { receiveFile, stopSending } from '../upload.ts'

const XLSX = 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet'
const MIB = 1_048_576
const MOST_BYTES = 10 * MIB
const SECOND = 1000
const tags = ['数据']

const kind = z.enum(IMPORT_KINDS).describe(IMPORT_KINDS.map((one) => `${one} ${KIND_NAMES[one]}`).join('，'))
const columnsInWords = IMPORT_KINDS.map((one) => `${KIND_NAMES[one]}：${IMPORT_COLUMNS[one].map(({ name, required }) => (required ? `${name}*` : name)).join('、')}`).join('。')

/** For the document alone: the file never becomes a body. */
const UploadSchema = z.any().meta({
  type: 'object', required: ['file'],
  properties: { file: { type: 'string', format: 'binary', contentMediaType: 'application/octet-stream', description: '一个文件：Excel 工作簿（.xlsx），或 CSV（UTF-8、UTF-16、GBK 或 GB18030）；至多 10 MB、10000 行' } },
})

const ImportSchema = z
  .strictObject({
    imported: z.int().describe('已导入的行数，原先已有的一并计入'),
    refused: z.int().describe('有错的行数'),
    data: z.array(z.strictObject({
      row: z.int().describe('第几行，与 Excel 中相同'), column: z.string().nullable().describe('第几列，如 C；与整行有关的为 null'), heading: z.string().nullable().describe('列名'),
      code: z.string(), message: z.string().describe('原因，如“第3行 C列：应为手机号或带区号的固定电话”'),
    })).describe('全部错误，按行'),
    page: PageSchema,
  })
  .meta({ id: 'Import', description: '导入的结果', examples: [{ imported: 118, refused: 1, data: [{ row: 3, column: 'C', heading: '电话', code: 'value', message: '第3行 C列：应为手机号或带区号的固定电话' }], page: { nextCursor: null, hasMore: false } }] })

interface Deps {
  db: Db
  keyring: Keyring
  workbooks: WorkbookPort
  spool(source: AsyncIterable<Uint8Array>, mostBytes: number): Promise<{ bytes: number; read(): Promise<Buffer>; drop(): Promise<void> }>
}

/** 导入: templates, sheets, and what was wrong with them. */
export const importRoutes = (deps: Deps): FastifyPluginAsyncZod => async (app) => {
  const { db } = deps
  await app.register(multipart)
  app.addHook('onError', (request, _reply, _error, done) => {
    stopSending(request)
    done()
  })
  // A workbook takes ten times its size to read: one after the other.
  const turns = new Turns(1)

  app.get('/v1/imports/templates/:name', {
    config: { audience: 'staff', problems: ['not-found'] },
    schema: {
      tags, summary: '下载导入模板', operationId: 'getImportTemplate', description: `带下拉选项和一行示例（示例行不会导入）；带 * 的必填，列的先后不限。${columnsInWords}。`,
      params: z.strictObject({ name: z.enum(IMPORT_KINDS.map((one) => `${one}.xlsx` as const) as ['nodes.xlsx']).describe(`${IMPORT_KINDS.join('、')} 加 .xlsx`) }),
      produces: [XLSX], response: { 200: z.any().meta({ type: 'string', format: 'binary', description: 'Excel 工作簿（.xlsx）' }) },
    },
  }, async ({ params: { name } }, reply) =>
    reply.type(XLSX).header('content-disposition', `attachment; filename="${name}"`).send(await importTemplate(deps, name.replace('.xlsx', '') as 'nodes')))

  app.post('/v1/imports', {
    handlerTimeout: 180 * SECOND,
    config: { audience: 'staff', problems: ['file-type-unsupported', 'file-unreadable'] },
    schema: {
      tags, summary: '导入 Excel 或 CSV', operationId: 'createImport', consumes: ['multipart/form-data'],
      description: '不是表格、缺少列、有合并单元格的当即拒绝；其余在后台进行，见 GET /v1/operations/{id}（进度）和 GET /v1/imports/{id}（每个错误：第N行 X列）。dry-run 只检查，all 全部导入或一行也不导入，good 只导入没有错的行。认得常用的表头（手机、手机号、联系电话……）、表头上方的标题行、各种写法的日期（2026/11/21、2026年11月21日、日期序号）和全角数字；被 Excel 改成日期或科学计数法的号码逐格指出。逐行按本人的权限，与逐件办理的规则相同；中断后自动继续，不会重复；改正后整张表再次导入，已有的人员、住户、走访和信件保持原样。填写工号的人员开设账号，一次性密码另由“重置密码”给出。',
      querystring: z.strictObject({ kind, mode: z.enum(IMPORT_MODES).default('dry-run').describe('dry-run 只检查（缺省），all 全部或全不，good 只导入没有错的行') }),
      body: UploadSchema, response: { 202: z.strictObject({ operation: uuid.describe('见 GET /v1/operations/{id}') }) },
    },
  }, async (request, reply) => {
    const { query, actor } = request
    if (!mayImport(actor)) throw new Problem('forbidden') // strangers make us unpack nothing
    const upload = await receiveFile(request, { mostBytes: MOST_BYTES, take: (source) => deps.spool(source, MOST_BYTES) })
    const operation = await turns.run(async () => startImport(deps, query.kind, query.mode, await upload.read(), actor)).finally(() => upload.drop())
    return reply.code(202).header('location', `/v1/operations/${operation}`).send({ operation })
  })

  app.get('/v1/imports/:id', {
    config: { audience: 'staff', problems: ['not-found', 'cursor-unusable'] },
    schema: {
      tags, summary: '导入的结果', operationId: 'getImport', description: '自己启动的导入：导入了多少行，每一行错在哪里。id 为后台任务的 id。',
      params: z.strictObject({ id: uuid }), querystring: z.strictObject({ limit, cursor: cursor.optional() }), response: { 200: ImportSchema },
    },
  }, ({ params, query, actor }) => readImport(db, params.id, query, actor))
}
