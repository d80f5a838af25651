-- When supervision moves on, now that each level has its own limit and reminders may come after the due time.
-- Null until the due time has come, and in rows written before this column: see `climbsAt` in src/domain/marks.ts.
-- Non-breaking: who does not know it neither reads nor writes it.
ALTER TABLE "deadline" ADD COLUMN "rungAt" TIMESTAMPTZ(3);
