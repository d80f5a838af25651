/** What may be wrong with the chain or with what it covers. */
export type FaultKind = 'edited' | 'deleted' | 'inserted' | 'reordered' | 'cut'
export type FaultTable = 'feed' | 'event' | 'audit_entry' | 'audit_link' | 'audit_checkpoint' | 'audit_head'

/** One fault, where it is. Ids and numbers only. */
export interface Fault {
  kind: FaultKind
  table: FaultTable
  /** Of the link, or of the first that is missing. */
  n?: string
  /** In the feed; of an entry, of the event it came behind. */
  position?: string
  /** Of the event or entry. */
  id?: string
  /** Of the request and the step of it, where the history is at fault. */
  requestId?: string
  seq?: number
  /** How many in a row are gone. */
  count?: string
}

/** So many are told one by one; all are counted. */
const MOST_TOLD = 1_000

/** The faults found so far, in bounded memory. */
export class Faults {
  readonly told: Fault[] = []
  found = 0

  add(fault: Fault): void {
    this.found++
    if (this.told.length < MOST_TOLD) this.told.push(fault)
  }

  /** An event that is missing in one place and found in another was moved. */
  pairMoves(): void {
    const gone = new Map(this.told.filter(({ kind, table, id }) => table === 'feed' && kind === 'deleted' && id).map((fault) => [fault.id!, fault]))
    for (const fault of this.told) {
      const former = fault.table === 'feed' && fault.kind === 'inserted' && fault.id ? gone.get(fault.id) : undefined
      if (former) fault.kind = former.kind = 'reordered'
    }
  }
}
