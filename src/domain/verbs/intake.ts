import type { Verb } from '../machine.ts'
import { NOT_FINAL, PETITIONER } from './groups.ts'

/** 受理. */
export const INTAKE = {
  file: {
    zh: '点单', past: 'filed', tells: ['dispatch'],
    says: '居民点单，或由工作人员、第三方应用代为点单。',
    edges: [{ from: ['none'], to: ['filed'], by: ['anyone'] }],
  },
  accept: {
    zh: '受理', past: 'accepted', tells: ['filer'],
    says: '组织受理这件点单，可同时更正服务项目、地点和分级。受理人为首问责任人（代点的为代点人）。',
    edges: [{ from: ['filed'], to: ['accepted'], by: ['dispatch'] }, { from: ['filed'], to: ['accepted'], by: ['system'] }],
  },
  reject: {
    zh: '不予受理', past: 'rejected', tells: ['filer'],
    says: '不予受理，必须说明原因。',
    edges: [{ from: ['filed'], to: ['rejected'], by: ['dispatch'] }],
  },
  return: {
    zh: '退回补正', past: 'returned', tells: ['filer'],
    says: '材料不全，退回点单人补正；补正期间时限停走。',
    edges: [{ from: ['filed'], to: ['returned'], by: ['dispatch'] }],
  },
  resubmit: {
    zh: '补正', past: 'resubmitted', tells: ['dispatch'],
    says: '点单人补正后重新提交。',
    edges: [{ from: ['returned'], to: ['filed'], by: ['filer', 'guardian'] }],
  },
  amend: {
    zh: '更正', past: 'amended', tells: ['filer'],
    says: '更正服务项目、地点、标题或分级；分级决定适用的时限规则，办结时限仍从点单时起算。',
    edges: [{ from: ['filed', 'accepted'], to: 'same', by: ['dispatch'] }],
  },
  consent: {
    zh: '记录同意', past: 'consent_recorded', tells: [],
    says: '记录或撤回点单人（未成年人为监护人）对上墙公示、告知认领人联系方式、处理敏感信息的同意。',
    edges: [
      { from: NOT_FINAL, to: 'same', by: [...PETITIONER, 'file_for'] },
      { from: ['open'], to: ['accepted'], by: [...PETITIONER, 'file_for'] },
    ],
  },
} as const satisfies Record<string, Verb>
