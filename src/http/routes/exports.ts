import type { Readable } from 'node:stream'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { code, day, flagQuery, instant, listQuery, uuid } from '../../domain/atoms.ts'
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

const Format = { format: z.enum(EXPORT_FORMATS).default('xlsx').describe('xlsx（缺省），或 csv（UTF-8 带 BOM，Excel 可直接打开）') }
const Place = { ...Format, node: z.union([uuid, code]).optional().describe('节点 id 或代码，含下级；缺省为辖区内全部') }
const Directory = { ...Format, node: z.union([uuid, code]).optional().describe('节点 id 或代码，含下级；缺省为全部') }
const reveal = (what: string) => z.enum(REVEAL_REASON_CODES).optional()
  .describe(`${what}用明文，须写原因：${REVEAL_REASON_CODES.map((one) => `${one} ${REVEAL_REASONS[one]}`).join('，')}；只限该地点的管理员本人，逐人记录`)
const Requests = {
  ...Place,
  state: listQuery(StateSchema).optional().describe('状态，多个用逗号分隔'), kind: listQuery(z.enum(KINDS)).optional().describe('种类，多个用逗号分隔'), item: code.optional().describe('服务菜单代码'),
  campaign: z.union([uuid, code]).optional().describe('专项行动 id 或代码'),
  overdue: flagQuery.optional().describe('只看（不看）已超时的'), filedFrom: instant.optional().describe('点单时间不早于'), filedTo: instant.optional().describe('点单时间早于'),
}
const LISTS: Readonly<Record<ExportList, { name: string; query: z.ZodType<ExportQuery>; note?: string }>> = {
  requests: { name: '点单', query: z.strictObject(Requests) },
  ledger: { name: '台账', query: z.strictObject({ ...Requests, reveal: reveal('来电人和电话') }) },
  visits: { name: '走访', query: z.strictObject(Place) },
  people: { name: '人员', query: z.strictObject({ ...Place, reveal: reveal('姓名、电话、门牌') }), note: '明文只给本人管理其全部所在地点的人，其余仍脱敏。' },
  households: { name: '住户', query: z.strictObject(Place) },
  nodes: { name: '节点', query: z.strictObject(Directory), note: '列与导入模板相同。' },
  organisations: { name: '组织', query: z.strictObject(Directory) },
  duties: { name: '职责', query: z.strictObject(Place) },
  contacts: { name: '公示牌', query: z.strictObject(Directory), note: '每个节点谁负责，一人一行，空岗也列出；姓名和电话只有本人同意公开的。' },
  enrolments: { name: '报到名册', query: z.strictObject(Place), note: '限有权核实报到的人。' },
  skills: { name: '技能库', query: z.strictObject(Format) },
  items: { name: '服务菜单', query: z.strictObject(Format) },
  venues: { name: '驿站', query: z.strictObject(Directory) },
  campaigns: { name: '专项行动', query: z.strictObject(Directory) },
  credit: {
    name: '积分排名',
    query: z.strictObject({
      ...Place, of: z.enum(['person', 'organisation']).default('person').describe('person 人员，organisation 组织'),
      from: day.optional().describe('从这一天起（租户时区）；缺省为 to 所在月的第一天'), to: day.optional().describe('到这一天止，含当天；缺省为今天'),
    }),
  },
}

interface Deps {
  db: Db
  keyring: Keyring
  /** outside/table-stream.ts */
  tables(format: ExportFormat, headings: readonly string[], pages: AsyncIterable<string[][]>): Readable
}

/** 导出: the whole of a list, written while it is read. */
export const exportRoutes = (deps: Deps): FastifyPluginAsyncZod => async (app) => {
  for (const list of EXPORT_LISTS) {
    const { name, query: querystring, note = '' } = LISTS[list]
    app.get(`/v1/exports/${list}`, {
      handlerTimeout: PATIENCE_MS,
      config: { audience: 'staff', problems: ['not-found'] },
      schema: {
        tags: ['数据'], summary: `导出${name}`, operationId: `export${list[0]!.toUpperCase()}${list.slice(1)}`,
        description: `列：${HEADINGS[list].join('、')}。${note}边读边写，不限行数；个人信息脱敏，保密件只有编号、状态和社区；会被当作公式的内容前加撇号。每次导出都有审计记录。中途出错时连接中断，文件不完整。`,
        querystring, produces: [XLSX, 'text/csv'], response: { 200: z.any().meta({ type: 'string', format: 'binary', description: 'Excel 工作簿（.xlsx）或 CSV' }) },
      },
    }, async ({ query, actor }, reply) => {
      const { headings, pages } = await openExport(deps, list, query, actor)
      return reply.type(query.format === 'csv' ? CSV : XLSX).header('cache-control', 'private, no-store').header('content-disposition', `attachment; filename="${list}.${query.format}"`).send(deps.tables(query.format, headings, pages))
    })
  }
}
