// Runs calls of quickbooks-node-promise against the simulator; prints one JSON line for each: name, ok, and what came.
'use strict'
const { Quickbooks } = require('quickbooks-node-promise')
const given = JSON.parse(process.env.GIVEN)

Quickbooks.V3_ENDPOINT_BASE_URL = given.url + '/v3/company/'
Quickbooks.TOKEN_URL = given.url + '/oauth2/v1/tokens/bearer'
Quickbooks.REVOKE_URL = given.url + '/v2/oauth2/tokens/revoke'
const books = new Quickbooks({
  appKey: given.client_id,
  appSecret: given.client_secret,
  redirectUrl: 'http://localhost/',
  accessToken: given.access_token,
  refreshToken: given.refresh_token,
  autoRefresh: false,
  minorversion: '75'
}, given.realm)

async function call (name, ...args) {
  try {
    const found = await books[name](...args)
    console.log(JSON.stringify({ name, ok: true, why: null, found }))
    return found
  } catch (error) {
    const body = error.errorResponse || {}
    console.log(JSON.stringify({ name, ok: false, why: body.Fault ? body.Fault.Error[0].code : String(error), found: null }))
    return {}
  }
}

async function main () {
  await call('getCompanyInfo', given.realm)
  await call('getPreferences')
  for (const name of ['Customers', 'Items', 'Accounts', 'TaxCodes', 'PaymentMethods', 'Departments', 'Invoices',
    'SalesReceipts', 'Payments', 'CreditMemos', 'RefundReceipts', 'Estimates']) {
    await call('find' + name, { limit: 10 })
  }
  await call('findCustomers', { items: [{ field: 'DisplayName', value: 'Jan%', operator: 'LIKE' }], fetchAll: true })
  await call('countCustomers')
  const { Customer } = await call('createCustomer', { DisplayName: 'Promise B.V.' })
  await call('updateCustomer', { Id: Customer.Id, SyncToken: Customer.SyncToken, sparse: true, CompanyName: 'P' })
  await call('getCustomer', Customer.Id)
  const line = {
    Amount: 10,
    DetailType: 'SalesItemLineDetail',
    SalesItemLineDetail: { ItemRef: { value: given.service_id }, TaxCodeRef: { value: given.tax_code } }
  }
  const { Invoice } = await call('createInvoice', { CustomerRef: { value: Customer.Id }, Line: [line] })
  await call('getInvoice', Invoice.Id)
  await call('voidInvoice', { Id: Invoice.Id, SyncToken: Invoice.SyncToken })
  await call('batch', [{ bId: '1', Query: 'select * from Item' }])
  await call('changeDataCapture', ['Customer'], new Date(Date.now() - 3600000))
  await call('getCustomer', '99999')
  await call('refreshAccessToken')
  await call('revokeAccess', true)
}

main().catch((error) => { console.error(error); process.exit(1) })
