-- /// detection
-- title = "A token that was made invalid was tried"
-- severity = "high"
-- status = "stable"
-- attack = ["T1528", "T1550.001"]
-- section = [1]
-- categories = ["kube-audit"]
-- key = ["cluster", "token"]
-- suppress = "1d"
-- summary = "The invalidated token {token} was tried on {cluster} from {client_ip} with {user_agent}: {verb} {request_uri}"
--
-- description = """
-- Kubernetes invalidates secret-based tokens that nobody used for a year. One that turns up now lay in an old backup,
-- repository or laptop, and somebody found it. token is secret/namespace; the request is refused, and its audit event
-- names no user. The annotation is lost when a record is cut; then the rule stays silent. No body is needed. Delete
-- that secret before somebody lifts its label, and look at what else came from the address.
-- """
-- false_positives = [
--   "A forgotten job that runs once a year",
-- ]
-- follow_up = ["address-timeline", "tokens-created"]
-- ///

SELECT
    cluster,
    annotations ->> 'authentication.k8s.io/legacy-token-invalidated' AS token,
    verb,
    request_uri,
    status_code,
    client_ip,
    user_agent
FROM audit
WHERE
    stage IN ('ResponseComplete', 'ResponseStarted')
    AND (annotations ->> 'authentication.k8s.io/legacy-token-invalidated') IS NOT NULL
