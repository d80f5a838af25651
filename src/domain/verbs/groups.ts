/** States and parties that several verbs name together. */

export const NOT_FINAL = ['filed', 'returned', 'accepted', 'open', 'dispatched', 'in_progress', 'parked', 'completed', 'merged'] as const
export const RUNNING = ['accepted', 'open', 'dispatched', 'in_progress'] as const
export const AT_WORK = ['dispatched', 'in_progress'] as const
/** Every state in which something may be due. */
export const TIMED = ['filed', 'returned', 'accepted', 'open', 'dispatched', 'in_progress', 'parked', 'completed', 'merged', 'closed'] as const
export const PETITIONER = ['filer', 'beneficiary', 'guardian'] as const
