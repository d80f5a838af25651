import type { Verb } from '../machine.ts'
import { RUNNING, AT_WORK } from './groups.ts'

/** 办理. */
export const HANDLING = {
  respond: {
    zh: '首次响应', past: 'responded', tells: ['filer'],
    says: '承办人首次联系居民。',
    edges: [{ from: ['in_progress'], to: 'same', by: ['assignee'] }],
  },
  record: {
    zh: '办理记录', past: 'recorded', tells: ['filer'],
    says: '记录办理过程：跑腿的委托、材料交接与次数、调解的场次与协议、活动的参加人数。',
    edges: [{ from: ['in_progress'], to: 'same', by: ['assignee', 'co'] }],
  },
  'sign-up': {
    zh: '报名', past: 'signed_up', tells: [],
    says: '居民报名参加上墙的活动。',
    edges: [{ from: ['open', 'in_progress'], to: 'same', by: ['anyone'] }],
  },
  'cancel-sign-up': {
    zh: '取消报名', past: 'sign_up_cancelled', tells: [],
    says: '取消报名。',
    edges: [{ from: ['open', 'in_progress'], to: 'same', by: ['attendee'] }],
  },
  'add-co': {
    zh: '增加协办', past: 'co_added', tells: ['co'],
    says: '主办或派单人请其他人员、组织协办，可有自己的时限。',
    edges: [{ from: AT_WORK, to: 'same', by: ['dispatch', 'assignee'] }],
  },
  'co-done': {
    zh: '协办完成', past: 'co_done', tells: ['assignee'],
    says: '协办方完成自己的部分；办结仍由主办。',
    edges: [{ from: AT_WORK, to: 'same', by: ['co'] }],
  },
  'remove-co': {
    zh: '取消协办', past: 'co_removed', tells: ['co'],
    says: '取消一个协办方。',
    edges: [{ from: RUNNING, to: 'same', by: ['dispatch', 'assignee'] }],
  },
  whistle: {
    zh: '吹哨', past: 'whistled', tells: ['co'],
    says: '一家办不了、需要联合执法或情况紧急时召集多个部门，各部门须报到。',
    edges: [{ from: RUNNING, to: 'same', by: ['dispatch', 'assignee'] }],
  },
  'report-in': {
    zh: '报到', past: 'reported_in', tells: ['assignee', 'dispatch'],
    says: '被吹哨的部门报到。',
    edges: [{ from: RUNNING, to: 'same', by: ['co'] }],
  },
  deliberate: {
    zh: '议事', past: 'deliberated', tells: ['filer', 'assignee'],
    says: '记录议事厅、恳谈日的讨论和决定；一时议不完的可挂账到下次。',
    edges: [
      { from: ['accepted', 'open', 'in_progress'], to: 'same', by: ['dispatch'] },
      { from: ['accepted', 'open', 'in_progress'], to: ['parked'], by: ['dispatch'] },
    ],
  },
} as const satisfies Record<string, Verb>
