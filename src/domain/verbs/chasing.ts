import type { Verb } from '../machine.ts'
import { NOT_FINAL, RUNNING, TIMED, PETITIONER } from './groups.ts'

/** 催办、督办、上报. */
export const CHASING = {
  urge: {
    zh: '催办', past: 'urged', tells: ['assignee', 'dispatch', 'first_contact'],
    says: '点单人催办，每日有次数上限。',
    edges: [{ from: ['filed', ...RUNNING, 'parked', 'merged'], to: 'same', by: PETITIONER }],
  },
  supervise: {
    zh: '督办', past: 'supervised', tells: ['assignee', 'dispatch', 'first_contact'],
    says: '督查人员督办，承办人不变。',
    edges: [{ from: NOT_FINAL, to: 'same', by: ['supervise'] }],
  },
  raise: {
    zh: '上报', past: 'raised', tells: ['dispatch', 'filer'],
    says: '本级解决不了的，上报上一级、指定的上级节点或外部组织；责任节点随之移动，队列、上墙范围和时限责任一并移交。',
    edges: [{ from: ['filed', ...RUNNING, 'parked'], to: 'same', by: ['dispatch'] }],
  },
  'hand-over': {
    zh: '首问移交', past: 'handed_over', tells: ['first_contact', 'filer'],
    says: '首问责任人把责任移交给另一人；不移交则一直负责到底。',
    edges: [{ from: NOT_FINAL, to: 'same', by: ['first_contact', 'dispatch'] }],
  },
  remind: {
    zh: '提醒', past: 'reminded', tells: ['first_contact'],
    says: '时限将至或已过，由系统提醒承担者和首问责任人。',
    edges: [{ from: TIMED, to: 'same', by: ['system'] }],
  },
  escalate: {
    zh: '升级', past: 'escalated', tells: ['assignee', 'first_contact'],
    says: '逾期后督办沿节点树逐级上移，承办人不变。',
    edges: [{ from: TIMED, to: 'same', by: ['system'] }],
  },
  reschedule: {
    zh: '时限重算', past: 'rescheduled', tells: ['assignee'],
    says: '节假日安排公布或时限规则变更，由系统重算未到的时限；原时限保留。',
    edges: [{ from: [...NOT_FINAL, 'closed'], to: 'same', by: ['system'] }],
  },
} as const satisfies Record<string, Verb>
