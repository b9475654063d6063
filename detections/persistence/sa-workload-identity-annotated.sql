-- /// detection
-- title = "A service account was tied to an Azure identity"
-- severity = "high"
-- status = "stable"
-- attack = ["T1098.001", "T1550.001"]
-- section = [1]
-- key = ["cluster", "namespace", "name", "client_id"]
-- suppress = "1d"
-- summary = "{username} tied ({verb}) service account {namespace}/{name} of {cluster} to the Azure identity {client_id}, from {client_ip}"
--
-- description = """
-- With this annotation the pods of the account sign in to Azure as that identity, wherever it is federated with the
-- cluster: a way from the cluster into the subscription. Creates, updates and patches that set it count (an update that
-- repeats it too, once a day); a copy in kubectl's last-applied annotation does not. Without a body (level Metadata, or
-- cut before it) the rule stays silent; sa-modified still records the change. Dry runs do not count. See what the
-- identity may do in Azure and whether its federation names this account.
-- """
-- false_positives = [
--   "Teams and pipelines that deploy workloads with an Azure identity: add the pipeline to lists/sa_managers.csv",
-- ]
-- follow_up = ["object-history", "identity-timeline", "tokens-created"]
-- ///

SELECT
    cluster,
    username,
    verb,
    namespace,
    name,
    coalesce(
        object -> 'metadata' -> 'annotations' ->> 'azure.workload.identity/client-id',
        regexp_match(request_object, '[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}')[1]
    ) AS client_id,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('create', 'update', 'patch')
    AND resource = 'serviceaccounts'
    AND subresource IS NULL
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('sa_managers', username)
    AND regexp_like(
        coalesce(request_object, response_object),
        '"azure\.workload\.identity/client-id"\s*:\s*"[^"]|/azure\.workload\.identity~1client-id"'
    )
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
