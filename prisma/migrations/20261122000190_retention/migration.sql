-- Retention of what came after the eraser's role: counted failures of logins, and what was done in the background. Non-breaking: grants.
GRANT DELETE ON "lockout", "operation" TO wishwall_eraser;
