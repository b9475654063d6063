-- /// detection
-- title = "A create was refused"
-- severity = "low"
-- status = "stable"
-- attack = ["T1078", "T1610"]
-- section = [1]
-- key = ["cluster", "username"]
-- suppress = "1d"
-- summary = "{username} was refused to create {what} on {cluster}, from {client_ip}"
--
-- description = """
-- Reading is tried by every dashboard; who tries to make something and may not is worth knowing. Refusals by authorisation
-- count; those of admission (policies, quotas, pod security) do not, unless the record was cut before it says which. One
-- alert for each identity and day. Questions about one's rights, anonymous requests and accounts of the system namespaces
-- are left out. No body is needed.
-- """
-- false_positives = [
--   "Pipelines with the wrong context or a role that lags behind",
-- ]
-- follow_up = ["denied-by-identity", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    concat(resource, coalesce('/' || subresource, ''), coalesce(' in namespace ' || namespace, '')) AS what,
    resource,
    subresource,
    namespace,
    name,
    status_message,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND verb = 'create'
    AND status_code = 403
    AND coalesce(decision, 'forbid') = 'forbid'
    AND resource NOT IN (
        'selfsubjectaccessreviews', 'selfsubjectrulesreviews', 'selfsubjectreviews',
        'subjectaccessreviews', 'localsubjectaccessreviews', 'tokenreviews', 'events'
    )
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'system-sa', 'anonymous')
