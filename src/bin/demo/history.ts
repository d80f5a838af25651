import type { Satisfaction, Solved } from '../../domain/request.ts'
import type { Db } from '../../service/db.ts'
import type { Who } from './cast.ts'
import { COMPOUND } from './places.ts'
import { begin, does, pictured, type Stage, type Story } from './story.ts'

/** The month before: what is over, so that rates, ranking and credit have something to say. */

/** Days ago at which something happened, the oldest first; what began on one goes on at the next. */
export const DAYS_AGO = [27, 22, 17, 12, 7, 3] as const

/** 专项行动 of the month. */
export const CAMPAIGN = 'WARM-WINTER'

type Turn = NonNullable<Story['then']>[number]

interface Past extends Omit<Story, 'then'> {
  /** Index of `DAYS_AGO`. */
  begun: number
  /** What was done on that day, and on each of the next. */
  days: readonly (readonly Turn[])[]
}

const accepted = does('dispatcher', 'accept', {})
const told = (solved: Solved, satisfaction: Satisfaction) => [does('caller', 'follow-up', { solved, satisfaction })]
const pleased = told('solved', 'satisfied')
const placed = (wallTitle: string) => [does('secretary', 'accept', {}), does('secretary', 'place', { wallTitle })]
const by = (who: Who, outcome: string) => [does(who, 'claim', {}), does(who, 'complete', { outcome })]
const sent = [accepted, does('dispatcher', 'dispatch', { to: 'YZ-PROPERTY' }), does('propertyManager', 'sign', {}), does('propertyManager', 'respond', {})]
const mended = (outcome: string) => [does('propertyManager', 'complete', { outcome })]
const service = (begun: number, who: Who, item: string, node: string, title: string, outcome: string, end = pleased): Past =>
  ({ begun, by: who, file: { item, node, title }, days: [sent, mended(outcome), end] })
const wish = (begun: number, who: Who, item: string, node: string, title: string, claimer: Who, outcome: string, more: Partial<Story['file']> = {}): Past =>
  ({ begun, by: who, file: { item, node, title, ...more }, days: [placed(title), by(claimer, outcome), pleased] })
const warm = { campaign: CAMPAIGN }

export const HISTORY: readonly Past[] = [
  { begun: 0, by: 'residentA', photo: 'dark', file: { item: 'corridor-light', node: 'YQHF-01-1', title: '一楼感应灯坏了' },
    days: [[does('headOf1', 'dispatch', { to: 'YQ0016' }), does('headOfUnit', 'sign', {}), does('headOfUnit', 'respond', {})], [pictured('headOfUnit', 'light', { outcome: '已换新灯。' })], pleased] },
  { begun: 0, by: 'residentB', photo: 'hole', file: { item: 'repair-road', node: COMPOUND, title: '东门里的路面塌了一块' }, days: [sent, [pictured('propertyManager', 'repaired', { outcome: '已铺平。' })], pleased] },
  service(0, 'residentB', 'drain', 'YQHF-02-1', '厨房下水堵了', '已疏通。'),
  service(0, 'residentC', 'elevator', 'YQHF-06-1', '电梯有异响', '已更换导靴。', told('solved', 'fairly')),
  service(0, 'residentA', 'cleaning', 'YQHF-01', '楼道有积水', '已清扫。'),
  service(0, 'residentC', 'parking', COMPOUND, '地下车库灯太暗', '已增加两盏灯。'),
  service(1, 'residentB', 'tree', COMPOUND, '树枝压到晾衣架', '已修剪。'),
  service(1, 'residentA', 'illegal-parking', COMPOUND, '消防通道停了一排车', '已劝离并划线。', told('partly', 'fairly')),
  service(2, 'residentC', 'environment-cleaning', 'YQHF-06', '地下室堆了旧家具', '已清走。'),
  service(2, 'residentB', 'repair-road', 'YQHF-02', '台阶缺了一角', '已补好。'),
  service(3, 'residentA', 'repair-road', 'YQHF-01', '门前地砖松动', '已重铺。'),
  service(3, 'residentC', 'drain', 'YQHF-06-2', '卫生间返味', '已加装防臭地漏。', told('unsolved', 'dissatisfied')),
  service(3, 'residentB', 'cleaning', 'YQHF-02-2', '电梯厅有宠物粪便', '已清理并张贴提示。'),
  service(3, 'residentA', 'elevator', 'YQHF-01', '轿厢灯不亮', '已更换。'),
  wish(0, 'residentA', 'companionship', 'YQHF-01-1', '陪父亲去体检', 'memberA', '体检一切正常。'),
  wish(0, 'residentB', 'small-repair', 'YQHF-02-1', '修一把藤椅', 'volunteerA', '藤椅修好了。'),
  wish(0, 'residentC', 'errand', 'YQHF-06-1', '代交一次有线电视费', 'volunteerB', '已缴费，收据放在驿站。'),
  wish(1, 'residentA', 'small-gift', 'YQHF-01-2', '一双防滑棉鞋', 'memberB', '已送到家。', warm),
  wish(1, 'residentB', 'small-repair', 'YQHF-02-2', '给窗户贴密封条', 'memberA', '六扇窗都贴好了。', warm),
  wish(2, 'residentC', 'small-gift', 'YQHF-06-2', '一条电热毯', 'individual', '已送到驿站并取走。', warm),
  wish(2, 'residentA', 'companionship', 'YQHF-01-1', '周末聊聊天', 'volunteerA', '聊了一下午。'),
  wish(3, 'residentB', 'home-haircut', 'YQHF-02-1', '上门理一次发', 'volunteerB', '已理发。'),
  wish(3, 'residentC', 'small-repair', 'YQHF-06-1', '检查一次暖气阀门', 'memberB', '更换了一个阀门。', warm),
  wish(3, 'residentA', 'study-help', 'YQHF-01-1', '辅导一次数学', 'memberC', '讲完了两章。'),
]

/** Day by day; on one day everything at once, each story in its own order. @param on with the clock so many days behind */
export async function remember(stage: Omit<Stage, 'db'>, on: <T>(daysAgo: number, run: (db: Db) => Promise<T>) => Promise<T>): Promise<void> {
  const filed = new Map<Past, string>()
  for (const [index, daysAgo] of DAYS_AGO.entries()) {
    await on(daysAgo, async (db) => {
      const then = { ...stage, db }
      await Promise.all(HISTORY.filter(({ begun, days }) => begun <= index && index < begun + days.length).map(async (past) => {
        const { begun, days, ...story } = past
        const request = filed.get(past) ?? await begin(then, story)
        filed.set(past, request)
        for (const turn of days[index - begun]!) await turn(then, request)
      }))
    })
  }
}
