// The table, the data collection rule, the role, the error log and the analytics rule of aksentry: the same
// as azuredeploy.json, for who deploys with Bicep. A test of the repository holds both to the columns that
// the program sends.

@description('Log Analytics workspace of Microsoft Sentinel, in the resource group deployed to.')
param workspaceName string

@description('Region of the workspace: the data collection rule must be in the same one.')
param location string = resourceGroup().location

@description('Name of the data collection rule.')
param ruleName string = 'aksentry'

@description('Object id of the identity aksentry signs in with (for a managed identity its principalId). Empty: assign the role yourself.')
param principalId string = ''

@description('Managed identities and app registrations are service principals.')
@allowed([
  'ServicePrincipal'
  'User'
  'Group'
])
param principalType string = 'ServicePrincipal'

@description('Whether to make the analytics rule that turns rows into alerts and incidents. Needs Microsoft Sentinel on the workspace.')
param raiseAlerts bool = true

// What aksentry sends, in its order.
var columns = [
  { name: 'TimeGenerated', type: 'datetime' }
  { name: 'EventTime', type: 'datetime' }
  { name: 'AlertId', type: 'string' }
  { name: 'Rule', type: 'string' }
  { name: 'Title', type: 'string' }
  { name: 'Severity', type: 'string' }
  { name: 'Cluster', type: 'string' }
  { name: 'Key', type: 'dynamic' }
  { name: 'Summary', type: 'string' }
  { name: 'Count', type: 'long' }
  { name: 'FirstSeen', type: 'datetime' }
  { name: 'LastSeen', type: 'datetime' }
  { name: 'Tactic', type: 'string' }
  { name: 'Attack', type: 'dynamic' }
  { name: 'AuditIds', type: 'dynamic' }
  { name: 'Evidence', type: 'dynamic' }
  { name: 'Replayed', type: 'boolean' }
]

// Log Analytics reserves "Title".
var tableColumns = map(columns, column => { name: column.name == 'Title' ? 'AlertTitle' : column.name, type: column.type })

var monitoringMetricsPublisher = '3913510d-42f4-4e42-8a64-420c390055eb'
var analyticsRule = '5e0c7c54-6f0b-4d0e-9b57-0c5d7b6b2f4a'

resource workspace 'Microsoft.OperationalInsights/workspaces@2022-10-01' existing = {
  name: workspaceName
}

resource table 'Microsoft.OperationalInsights/workspaces/tables@2022-10-01' = {
  parent: workspace
  name: 'AksentryAlerts_CL'
  properties: {
    plan: 'Analytics'
    schema: {
      name: 'AksentryAlerts_CL'
      columns: tableColumns
    }
  }
}

resource rule 'Microsoft.Insights/dataCollectionRules@2023-03-11' = {
  name: ruleName
  location: location
  kind: 'Direct'
  dependsOn: [
    table
  ]
  properties: {
    description: 'Alerts of aksentry'
    streamDeclarations: {
      'Custom-AksentryAlerts': {
        columns: columns
      }
    }
    destinations: {
      logAnalytics: [
        {
          name: 'sentinel'
          workspaceResourceId: workspace.id
        }
      ]
    }
    dataFlows: [
      {
        streams: [
          'Custom-AksentryAlerts'
        ]
        destinations: [
          'sentinel'
        ]
        transformKql: 'source | project-rename AlertTitle = Title'
        outputStream: 'Custom-AksentryAlerts_CL'
      }
    ]
  }
}

resource role 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(principalId)) {
  name: guid(rule.id, principalId, monitoringMetricsPublisher)
  scope: rule
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', monitoringMetricsPublisher)
    principalId: principalId
    principalType: principalType
  }
}

resource errors 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'errors'
  scope: rule
  properties: {
    workspaceId: workspace.id
    logs: [
      {
        category: 'LogErrors'
        enabled: true
      }
    ]
  }
}

resource alerts 'Microsoft.SecurityInsights/alertRules@2025-09-01' = if (raiseAlerts) {
  name: analyticsRule
  kind: 'Scheduled'
  scope: workspace
  dependsOn: [
    table
  ]
  properties: {
    displayName: 'AKS audit alerts of aksentry'
    description: 'Raises one alert for each alert that aksentry sends, with its title, severity, tactic and entities.'
    enabled: true
    severity: 'Medium'
    query: loadTextContent('raise-alerts.kql')
    queryFrequency: 'PT5M'
    queryPeriod: 'P1D'
    triggerOperator: 'GreaterThan'
    triggerThreshold: 0
    suppressionEnabled: false
    suppressionDuration: 'PT1H'
    eventGroupingSettings: {
      aggregationKind: 'AlertPerResult'
    }
    entityMappings: [
      {
        entityType: 'Account'
        fieldMappings: [
          { identifier: 'Name', columnName: 'AccountName' }
          { identifier: 'UPNSuffix', columnName: 'AccountSuffix' }
        ]
      }
      {
        entityType: 'IP'
        fieldMappings: [
          { identifier: 'Address', columnName: 'Address' }
        ]
      }
      {
        entityType: 'AzureResource'
        fieldMappings: [
          { identifier: 'ResourceId', columnName: 'Cluster' }
        ]
      }
    ]
    customDetails: {
      AlertId: 'AlertId'
      Rule: 'Rule'
      AksentrySeverity: 'Severity'
      Events: 'Count'
      EventTime: 'EventTime'
      Replayed: 'Replayed'
    }
    alertDetailsOverride: {
      alertDisplayNameFormat: '{{AlertTitle}}'
      alertDescriptionFormat: '{{Summary}}'
      alertSeverityColumnName: 'AlertSeverity'
      alertTacticsColumnName: 'Tactics'
      alertDynamicProperties: [
        { alertProperty: 'Techniques', value: 'Techniques' }
      ]
    }
    incidentConfiguration: {
      createIncident: true
      groupingConfiguration: {
        enabled: true
        reopenClosedIncident: false
        lookbackDuration: 'PT5H'
        matchingMethod: 'Selected'
        groupByEntities: [
          'AzureResource'
        ]
        groupByAlertDetails: [
          'DisplayName'
        ]
        groupByCustomDetails: []
      }
    }
  }
}

// What goes into the configuration of aksentry.
output endpoint string = rule.properties.endpoints.logsIngestion
output rule_id string = rule.properties.immutableId
output stream string = 'Custom-AksentryAlerts'
