import type { Readable } from 'node:stream'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { code, flagQuery, instant, listQuery, uuid } from '../../domain/atoms.ts'
import { EXPORT_FORMATS, EXPORT_LISTS, HEADINGS, type ExportFormat, type ExportList } from '../../domain/exports.ts'
import { REVEAL_REASON_CODES, REVEAL_REASONS } from '../../domain/privacy.ts'
import { KINDS } from '../../domain/request.ts'
import type { Db } from '../../service/db.ts'
import { openExport, type ExportQuery } from '../../service/exports.ts'
import type { Keyring } from '../../service/keyring.ts'
import { StateSchema } from '../request-schema.ts'

const XLSX = 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet'
const CSV = 'text/csv; charset=utf-8'
/** A hundred thousand rows over a slow line. */
const PATIENCE_MS = 1_800_000

const Place = { format: z.enum(EXPORT_FORMATS).default('xlsx').describe('xlsx（缺省），或 csv（UTF-8 带 BOM，Excel 可直接打开）'), node: z.union([uuid, code]).optional().describe('节点 id 或代码，含下级；缺省为辖区内全部') }
const Requests = {
  ...Place,
  state: listQuery(StateSchema).optional().describe('状态，多个用逗号分隔'), kind: listQuery(z.enum(KINDS)).optional().describe('种类，多个用逗号分隔'), item: code.optional().describe('服务菜单代码'),
  overdue: flagQuery.optional().describe('只看（不看）已超时的'), filedFrom: instant.optional().describe('点单时间不早于'), filedTo: instant.optional().describe('点单时间早于'),
}
const QUERIES: Readonly<Record<ExportList, z.ZodObject>> = {
  requests: z.strictObject(Requests),
  ledger: z.strictObject({
    ...Requests,
    reveal: z.enum(REVEAL_REASON_CODES).optional().describe(`来电人和电话用明文，须写原因：${REVEAL_REASON_CODES.map((one) => `${one} ${REVEAL_REASONS[one]}`).join('，')}；只限该地点的管理员本人，逐人记录`),
  }),
  visits: z.strictObject(Place), people: z.strictObject(Place), households: z.strictObject(Place),
}
const NAMES: Readonly<Record<ExportList, string>> = { requests: '点单', ledger: '台账', visits: '走访', people: '人员', households: '住户' }

interface Deps {
  db: Db
  keyring: Keyring
  /** outside/table-stream.ts */
  tables(format: ExportFormat, headings: readonly string[], pages: AsyncIterable<string[][]>): Readable
}

/** 导出: the whole of a list, written while it is read. */
export const exportRoutes = (deps: Deps): FastifyPluginAsyncZod => async (app) => {
  for (const list of EXPORT_LISTS) {
    app.get(`/v1/exports/${list}`, {
      handlerTimeout: PATIENCE_MS,
      config: { audience: 'staff', problems: ['not-found'] },
      schema: {
        tags: ['数据'], summary: `导出${NAMES[list]}`, operationId: `export${list[0]!.toUpperCase()}${list.slice(1)}`,
        description: `列：${HEADINGS[list].join('、')}。边读边写，不限行数；个人信息脱敏，保密件只有编号、状态和社区；会被当作公式的内容前加撇号。每次导出都有审计记录。中途出错时连接中断，文件不完整。`,
        querystring: QUERIES[list], produces: [XLSX, 'text/csv'], response: { 200: z.any().meta({ type: 'string', format: 'binary', description: 'Excel 工作簿（.xlsx）或 CSV' }) },
      },
    }, async ({ query, actor }, reply) => {
      const { format } = query as unknown as ExportQuery
      const { headings, pages } = await openExport(deps, list, query as unknown as ExportQuery, actor)
      return reply.type(format === 'csv' ? CSV : XLSX).header('cache-control', 'private, no-store').header('content-disposition', `attachment; filename="${list}.${format}"`).send(deps.tables(format, headings, pages))
    })
  }
}
