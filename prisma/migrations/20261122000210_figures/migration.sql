-- Figures within their times. Non-breaking: indexes alone.

-- What comes again: requests in the order of place, service and time, so that none need be sorted.
CREATE INDEX "rate_fact_again_idx" ON "rate_fact" ("tenantId", "path", "item", "at") WHERE "slot" = 0 AND "base" = 'filed' AND "at" IS NOT NULL;

-- All that points are ranked by is in the index.
DROP INDEX "credit_entry_at_idx";
CREATE INDEX "credit_entry_at_idx" ON "credit_entry" ("tenantId", "at") INCLUDE ("path", "holder", "holderId", "requestId", "points");
