import { dayOf, type Calendar } from './calendar.ts'
import { DAY, MINUTE } from './calendar-day.ts'
import type { Kind } from './request.ts'

/** What a group reads. Numbers, places and times; never a title, a name or a phone. */

export interface Line {
  number: string
  kind: Kind
  /** Name of the service item; null in confidential matters. */
  item: string | null
  /** Where it is: in confidential matters the community. */
  place: string
  headline: string
  dueAt: Date | null
  urgent: boolean
  link: string
}

const KIND_NAMES: Readonly<Record<Kind, string>> = { wish: '心愿', service: '服务', errand: '代办', mediation: '调解', suggestion: '建议', activity: '活动' }

/** In every message, so that it can be a group's custom keyword (自定义关键词). */
export const KEYWORD = '心愿墙'

/** Lines of a digest: more are not read. */
export const MOST_LINES = 10

/**
 * One message of so many: a single one at length, several as a digest, the most pressing first, with 还有 N 件… for
 * those that find no room.
 * @param lines of the most pressing; more than are read need not be there
 * @param total of all that the message stands for
 * @param mostBytes of UTF-8, as the vendor counts
 */
export function compose(lines: readonly Line[], total: number, calendar: Calendar, mostBytes: number): string {
  const [only] = lines
  if (only && total === 1) return cut(single(only, calendar), mostBytes)
  const sorted = [...lines].sort((a, b) => Number(b.urgent) - Number(a.urgent) || dueOf(a) - dueOf(b))
  let text = `【${KEYWORD}】${total} 件待关注`
  let shown = 0
  for (const line of sorted.slice(0, MOST_LINES)) {
    const longer = `${text}\n${shown + 1}. ${brief(line, calendar)}`
    const rest = total - shown - 1
    if (bytes(longer + (rest > 0 ? more(rest) : '')) > mostBytes) break
    text = longer
    shown++
  }
  return shown === total ? text : text + more(total - shown)
}

/** What a test says. */
export const testMessage = (node: string): string => `【${KEYWORD}】测试消息：机器人已接入 ${plain(node)}`

const more = (count: number): string => `\n还有 ${count} 件…`
const dueOf = ({ dueAt }: Line): number => dueAt?.getTime() ?? Number.POSITIVE_INFINITY
const subject = ({ item, kind }: Line): string => plain(item ?? KIND_NAMES[kind])
const urgency = ({ urgent }: Line): string => (urgent ? '【急】' : '')

const single = (line: Line, calendar: Calendar): string => [
  `【${KEYWORD}】${urgency(line)}${line.headline}`,
  `单号：${line.number}`,
  `事项：${subject(line)}`,
  `地点：${plain(line.place)}`,
  ...(line.dueAt ? [`时限：${clock(line.dueAt, calendar)}`] : []),
  `查看：${line.link}`,
].join('\n')

const brief = (line: Line, calendar: Calendar): string =>
  `${urgency(line)}${line.headline}｜${line.number}｜${subject(line)}｜${plain(line.place)}${line.dueAt ? `｜时限 ${clock(line.dueAt, calendar)}` : ''}\n${line.link}`

/** Names that a tenant gave must not become mentions (Feishu: `<at user_id="all">`) or lines of their own. */
const plain = (name: string): string => name.replace(/[<>]/g, (sign) => (sign === '<' ? '‹' : '›')).replace(/[\p{C}\p{Zl}\p{Zp}]+/gu, ' ')

function clock(at: Date, calendar: Calendar): string {
  const local = at.getTime() + calendar.zone.offsetAt(at.getTime())
  const minutes = Math.floor((((local % DAY) + DAY) % DAY) / MINUTE)
  const two = (n: number) => String(n).padStart(2, '0')
  return `${dayOf(calendar, at)} ${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`
}

const encoder = new TextEncoder()
const bytes = (text: string): number => encoder.encode(text).length

/** Whole characters only. */
function cut(text: string, mostBytes: number): string {
  if (bytes(text) <= mostBytes) return text
  let kept = ''
  for (const character of text) {
    if (bytes(`${kept}${character}…`) > mostBytes) break
    kept += character
  }
  return `${kept}…`
}
