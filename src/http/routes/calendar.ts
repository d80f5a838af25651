import multipart from '@fastify/multipart'
import type { FastifyRequest } from 'fastify'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { code, day, flagQuery, instant, text, uuid } from '../../domain/atoms.ts'
import { COLUMNS, noticeSchema, shippedNotice, TYPES } from '../../domain/calendar-notice.ts'
import { hoursSchema, weekSchema } from '../../domain/calendar.ts'
import { limitSchema } from '../../domain/limit.ts'
import { Problem } from '../../domain/problems.ts'
import { setDay, setHours } from '../../service/calendar-changes.ts'
import { readDays, readDue, readHours, readYears } from '../../service/calendar-days.ts'
import { importNotice, importWorkbook, template, type ImportOptions, type WorkbookPort } from '../../service/calendar-import.ts'
import type { Db } from '../../service/db.ts'
import { now } from '../../service/policies.ts'
import { PlaceSchema } from '../request-schema.ts'
import { receiveFile } from '../upload.ts'

const ref = z.union([uuid, code])
const node = ref.describe('节点 id 或代码；缺省为根节点')
const operation = uuid.nullable().describe('重算时限的任务，见 /v1/operations/{id}；没有则为 null')
const recompute = z.boolean().optional().describe('true 时办理中的时限也重算；缺省只影响新的时限')

const dayMembers = {
  workday: z.boolean(),
  name: z.string().nullable().describe('节日名称；调休上班日也有'),
  hours: z.array(z.string()).describe('工作时段，如 09:00-12:00；不上班时为空'),
  source: z.enum(['shipped', 'overlay', 'week']).describe('由谁决定：shipped 内置的国务院安排，overlay 导入的安排或本地的特殊日，week 每周工作时间'),
  published: z.boolean().describe('false：当年的放假安排尚未公布，这一天还可能变'),
}

const DaySchema = z
  .strictObject({ date: day, ...dayMembers })
  .meta({ id: 'CalendarDay', description: '日历中的一天', examples: [{ date: '2026-01-04', workday: true, name: '元旦', hours: ['09:00-12:00', '14:00-18:00'], source: 'shipped', published: true }] })

const SetDaySchema = z.strictObject({ node: PlaceSchema, date: day, ...dayMembers, operation }).meta({ id: 'OwnCalendarDay', description: '特殊日' })

const DueSchema = z
  .strictObject({ dueAt: instant.describe('到期时间'), provisional: z.boolean().describe('true：经过放假安排尚未公布的日子，公布后会变') })
  .meta({ id: 'Due', description: '到期时间', examples: [{ dueAt: '2026-10-13T10:00:00.000Z', provisional: false }] })

const YearSchema = z.strictObject({
  year: z.int(),
  source: z.enum(['shipped', 'imported']).describe('shipped 内置，imported 导入'),
  node: PlaceSchema.nullable().describe('在哪个节点导入'),
  importedAt: instant.nullable(),
})

const week = weekSchema.describe('1 星期一至 7 星期日；没有写的日子同上级，空列表为不上班')
const WeekSchema = z.record(z.string(), z.array(z.string()))
const HoursSchema = z
  .strictObject({ node: PlaceSchema, week: WeekSchema.describe('现行，七天俱全'), own: WeekSchema.describe('本节点自己规定的，其余同上级') })
  .meta({ id: 'CalendarHours', description: '每周工作时间' })
const SetHoursSchema = HoursSchema.extend({ operation }).meta({ id: 'SetCalendarHours', description: '每周工作时间' })

const NewHoursSchema = z
  .strictObject({ node: node.optional(), week, recompute })
  .meta({ id: 'NewCalendarHours', examples: [{ node: 'YQHF', week: { 6: ['09:00-12:00'] } }] })

const NewDaySchema = z
  .strictObject({
    node: node.optional(),
    kind: z.enum(['holiday', 'workday', 'inherited']).describe('holiday 不上班，workday 上班，inherited 取消本节点的规定'),
    name: text({ max: 40 }).optional(),
    hours: hoursSchema.optional().describe('只在这一天的时段；缺省按每周工作时间'),
    recompute,
  })
  .meta({ id: 'NewCalendarDay', examples: [{ node: 'YQHF', kind: 'workday', name: '值班', hours: ['09:00-12:00'] }] })

const options = { node: node.optional(), dryRun: flagQuery.optional().describe('true 时只检查，什么也不改'), recompute: flagQuery.optional().describe('更正已公布的年份时，办理中的时限也重算') }

const NoticeSchema = noticeSchema
  .extend({ node: node.optional(), dryRun: z.boolean().optional(), recompute })
  .meta({
    id: 'Notice', description: '国务院办公厅关于某年部分节假日安排的通知，格式同 holiday-cn 的 <年份>.json，可原样发送',
    // Whole, for a notice is taken whole or not at all; and of a year that is known, so that trying it changes nothing.
    examples: [{ ...shippedNotice(2026), dryRun: true }],
  })

const ImportedSchema = z
  .strictObject({
    node: PlaceSchema, year: z.int(), dryRun: z.boolean(),
    published: z.boolean().describe('此前没有公布的年份：在它上面暂定的时限会重算'),
    holidays: z.int().describe('放假天数'), workdays: z.int().describe('调休上班天数'),
    changes: z.array(z.strictObject({ date: day, name: z.string().nullable(), workday: z.boolean() })).describe('由此变为上班或不上班的日子'),
    provisional: z.int().describe('本节点及以下仍为暂定的时限数'),
    operation,
  })
  .meta({ id: 'ImportedNotice', description: '导入的结果' })

const XLSX = 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet'
/** Refused like any other file that is none, and not as an unknown kind of body. */
const OTHER_EXCEL = ['application/vnd.ms-excel', 'application/vnd.ms-excel.sheet.macroenabled.12']
const MOST_BYTES = 1_048_576

const file = z.any().meta({ type: 'string', format: 'binary', description: 'Excel 工作簿（.xlsx）' })
const form = z.any().meta({ type: 'object', required: ['file'], properties: { file: { type: 'string', format: 'binary', description: 'Excel 工作簿（.xlsx），至多 1 MB' } } })

interface Deps {
  db: Db
  workbooks: WorkbookPort
}

/** 工作日历: days, due times, hours, and the notices that publish a year. */
export const calendarRoutes = (deps: Deps): FastifyPluginAsyncZod => async (app) => {
  const { db } = deps
  await app.register(multipart)
  app.addContentTypeParser([XLSX, ...OTHER_EXCEL], { parseAs: 'buffer', bodyLimit: MOST_BYTES }, (_request, bytes, done) => done(null, bytes))

  app.get('/v1/calendar/days', {
    config: { audience: 'staff', problems: ['not-found'] },
    schema: {
      tags: ['日历'], summary: '工作日历', operationId: 'listCalendarDays', description: '逐日：是否上班、节日名称、工作时段。含国务院放假安排和调休上班；一次至多 400 天。',
      querystring: z.strictObject({ from: day.meta({ examples: ['2026-10-01'] }), to: day.describe('含当天').meta({ examples: ['2026-10-10'] }), node: node.optional() }),
      response: { 200: z.strictObject({ node: PlaceSchema, data: z.array(DaySchema) }) },
    },
  }, ({ query }) => readDays(db, query))

  app.get('/v1/calendar/due', {
    config: { audience: 'staff', problems: ['not-found'] },
    schema: {
      tags: ['日历'], summary: '推算到期时间', operationId: 'getDue',
      description: '`5wd` 从次日起数工作日，末日下班时到期；`7d` 自然日，遇不上班顺延到下一个工作日下班；`8wh`、`480wm` 只数工作时间；`24h`、`30m` 不论是否上班。例：2026-09-30 10:00 起 5wd 到 2026-10-13 18:00。',
      querystring: z.strictObject({
        from: z.preprocess(withPlus, instant).optional().describe('从何时起；缺省为现在').meta({ examples: ['2026-09-30T10:00:00+08:00'] }),
        limit: limitSchema.meta({ examples: ['5wd'] }),
        node: node.optional(),
      }),
      response: { 200: DueSchema },
    },
  }, async ({ query }) => readDue(db, { ...query, from: query.from ?? await now(db) }))

  app.get('/v1/calendar/years', {
    config: { audience: 'staff', problems: ['not-found'] },
    schema: {
      tags: ['日历'], summary: '已公布的年份', operationId: 'listCalendarYears', description: '放假安排已知的年份。跨入其他年份的时限是暂定的（provisional），公布后重算。',
      querystring: z.strictObject({ node: node.optional() }), response: { 200: z.strictObject({ node: PlaceSchema, data: z.array(YearSchema) }) },
    },
  }, ({ query }) => readYears(db, query.node))

  app.get('/v1/calendar/hours', {
    config: { audience: 'staff', problems: ['not-found'] },
    schema: { tags: ['日历'], summary: '每周工作时间', operationId: 'getCalendarHours', querystring: z.strictObject({ node: node.optional() }), response: { 200: HoursSchema } },
  }, ({ query }) => readHours(db, query.node))

  app.put('/v1/calendar/hours', {
    config: { audience: 'staff', problems: ['node-unknown'] },
    schema: {
      tags: ['日历'], summary: '规定每周工作时间', operationId: 'putCalendarHours',
      description: '用于本节点及以下没有另行规定的节点，可分几段（午休）。需要对节点有管理权限（administer）。重算的时限不会早于下一个工作日结束。', body: NewHoursSchema, response: { 200: SetHoursSchema },
    },
  }, ({ body, actor }) => setHours(db, body, actor))

  app.put('/v1/calendar/days/:date', {
    config: { audience: 'staff', problems: ['node-unknown'] },
    schema: {
      tags: ['日历'], summary: '规定某一天', operationId: 'putCalendarDay', description: '本节点及以下的特殊日：停办、值班或另定时段。先于国务院的安排。需要管理权限（administer）。',
      params: z.strictObject({ date: day }), body: NewDaySchema, response: { 200: SetDaySchema },
    },
  }, ({ params, body, actor }) => setDay(db, { ...body, ...params }, actor))

  app.get('/v1/calendar/template.xlsx', {
    config: { audience: 'staff' },
    schema: {
      tags: ['日历'], summary: '下载放假安排的 Excel 模板', operationId: 'getCalendarTemplate', description: `列：${Object.values(COLUMNS).join('、')}。`, produces: [XLSX], response: { 200: file },
    },
  }, async (_request, reply) => reply.type(XLSX).header('content-disposition', 'attachment; filename="calendar-template.xlsx"').send(await template(deps)))

  app.post('/v1/calendar/import', {
    config: { audience: 'staff', problems: ['node-unknown', 'file-type-unsupported', 'file-unreadable'] },
    schema: {
      tags: ['日历'], summary: '导入放假安排', operationId: 'importCalendar',
      description: `国务院的年度放假通知：JSON（holiday-cn 格式）或 Excel（列 ${COLUMNS.date}、${COLUMNS.name}、${COLUMNS.isOffDay}；${COLUMNS.isOffDay}为${TYPES.off}或${TYPES.work}，一天一行，${COLUMNS.date}写 2027-01-01 或用日期格式；模板见 /v1/calendar/template.xlsx）。`
        + '整份导入或什么也不改：有错时指明第几行第几列。导入即公布该年：在它上面暂定的时限由后台任务重算，原时限保留，每件都有 request.rescheduled 事件，且不会早于下一个工作日结束。需要管理权限（administer）。',
      querystring: z.strictObject(options),
      body: { content: { 'application/json': { schema: NoticeSchema }, [XLSX]: { schema: file }, 'multipart/form-data': { schema: form } } },
      response: { 200: ImportedSchema },
    },
  }, async (request) => {
    if (isNotice(request)) {
      const { node: place, dryRun, recompute: again, year, days } = request.body
      return importNotice(db, { year, days }, { ...request.query, ...given({ node: place, dryRun, recompute: again }) }, request.actor)
    }
    return importWorkbook(deps, await workbookIn(request), request.query, request.actor)
  })
}

/** An unencoded plus arrives as a space. */
function withPlus(value: unknown): unknown {
  return typeof value === 'string' ? value.replace(/ (?=\d\d:\d\d$)/, '+') : value
}

const given = (options: ImportOptions): ImportOptions => Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))

const isNotice = (request: { headers: FastifyRequest['headers']; body: unknown }): request is { headers: FastifyRequest['headers']; body: z.output<typeof NoticeSchema> } =>
  /^application\/json\b/i.test(request.headers['content-type'] ?? '')

async function workbookIn(request: FastifyRequest): Promise<Buffer> {
  if (Buffer.isBuffer(request.body)) return request.body
  if (request.body === undefined && !request.isMultipart()) throw new Problem('media-type-unsupported')
  const { bytes } = await receiveFile(request, { mostBytes: MOST_BYTES, take: whole })
  return bytes
}

async function whole(source: AsyncIterable<Uint8Array>): Promise<{ bytes: Buffer; drop(): Promise<void> }> {
  const chunks: Uint8Array[] = []
  for await (const chunk of source) chunks.push(chunk)
  const bytes = Buffer.concat(chunks)
  if (bytes.length > MOST_BYTES) throw new Problem('body-too-large')
  return { bytes, drop: async () => {} }
}
