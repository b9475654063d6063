-- /// query
-- title = "Which binding or role assignment let whom in"
-- topic = "privilege"
-- section = [1]
-- see_also = ["cluster-admins-by-bindings", "azure-role-decisions"]
--
-- description = """
-- The grants that allowed requests, with the identities they allowed: what is
-- really used of all that is bound. A grant to a group (system:authenticated)
-- that a single identity uses can be narrowed; a grant that is not here was not
-- used in the range and may be superfluous. The reason is empty for members of
-- system:masters, who need no grant, and is lost where a record was cut.
-- """
--
-- [params]
-- platform = { type = "bool", description = "Whether nodes and identities of AKS and Kubernetes are shown", default = false }
-- ///

SELECT
    cluster,
    decision_reason,
    count(DISTINCT username) AS identities,
    array_to_string(array_sort(array_agg(DISTINCT username)), ', ') AS who,
    count(DISTINCT audit_id) AS requests,
    array_to_string(array_sort(array_agg(DISTINCT trim(concat_ws(' ', verb, concat_ws('/', resource, subresource))))), ', ') AS what,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE
    coalesce(decision_reason, '') <> ''
    AND coalesce(decision, 'allow') = 'allow'
    AND ($platform OR coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'system-sa'))
GROUP BY cluster, decision_reason
ORDER BY cluster, requests DESC, decision_reason
