import type { RequestRow } from './request.ts'

/** Mediation and confidential matters: ids and states for those outside, words for the parties only. */
export const isSecret = ({ confidential, kind }: Pick<RequestRow, 'confidential' | 'kind'>): boolean => confidential || kind === 'mediation'
