// Runs calls of node-quickbooks against the simulator; prints one JSON line for each: name, ok, and what came.
'use strict'
const QuickBooks = require('node-quickbooks')
const given = JSON.parse(process.env.GIVEN)

QuickBooks.V3_ENDPOINT_BASE_URL = given.url + '/v3/company/'
QuickBooks.TOKEN_URL = given.url + '/oauth2/v1/tokens/bearer'
QuickBooks.REVOKE_URL = given.url + '/v2/oauth2/tokens/revoke'
const books = new QuickBooks(
  given.client_id, given.client_secret, given.access_token, false, given.realm, true, false, 75, '2.0',
  given.refresh_token
)

function call (name, ...args) {
  return new Promise((resolve) => {
    books[name](...args, (error, found) => {
      const fault = error && (error.Fault || (error.response && error.response.data && error.response.data.Fault))
      const why = error ? (fault ? fault.Error[0].code : String(error.message || error)) : null
      console.log(JSON.stringify({ name, ok: !error, why, found: error ? null : found && found.config ? null : found }))
      resolve(found)
    })
  })
}

const line = (amount) => ({
  Amount: amount,
  DetailType: 'SalesItemLineDetail',
  SalesItemLineDetail: { ItemRef: { value: given.service_id }, TaxCodeRef: { value: given.tax_code } }
})

async function main () {
  await call('refreshAccessToken')
  await call('getCompanyInfo', given.realm)
  await call('getPreferences')
  for (const name of ['Customers', 'Items', 'Accounts', 'TaxCodes', 'TaxRates', 'PaymentMethods', 'Departments',
    'Terms', 'Invoices', 'SalesReceipts', 'Payments', 'CreditMemos', 'RefundReceipts', 'Estimates']) {
    await call('find' + name, { limit: 10 })
  }
  await call('findCustomers', [
    { field: 'DisplayName', value: 'Jan%', operator: 'LIKE' }, { field: 'fetchAll', value: true }, { field: 'desc', value: 'MetaData.CreateTime' }
  ])
  await call('findCustomers', { count: true })
  const customer = await call('createCustomer', { DisplayName: "Mevr. O'Neill & Zn." })
  await call('findCustomers', { DisplayName: "Mevr. O'Neill & Zn." })
  await call('updateCustomer', { Id: customer.Id, SyncToken: customer.SyncToken, CompanyName: 'Zn. B.V.' })
  await call('getCustomer', customer.Id)
  const item = await call('createItem', { Name: 'Cup', Type: 'Service', IncomeAccountRef: { value: given.income } })
  await call('getItem', item.Id)
  const sale = { CustomerRef: { value: customer.Id }, Line: [line(10)] }
  const receipt = await call('createSalesReceipt', { ...sale })
  await call('getSalesReceipt', receipt.Id)
  await call('deleteSalesReceipt', receipt.Id)
  const invoice = await call('createInvoice', { ...sale, requestId: 'from-node-1' })
  const again = await call('createInvoice', { ...sale, requestId: 'from-node-1' })
  console.log(JSON.stringify({ name: 'requestid', ok: invoice.Id === again.Id, why: null, found: null }))
  const payment = await call('createPayment', {
    CustomerRef: { value: customer.Id },
    TotalAmt: 5,
    Line: [{ Amount: 5, LinkedTxn: [{ TxnId: invoice.Id, TxnType: 'Invoice' }] }]
  })
  await call('getPayment', payment.Id)
  await call('deletePayment', payment.Id)
  await call('voidInvoice', invoice.Id)
  await call('createCreditMemo', { ...sale })
  await call('createRefundReceipt', { ...sale, DepositToAccountRef: { value: given.bank } })
  await call('createEstimate', { ...sale })
  await call('batch', [
    { bId: '1', operation: 'create', Customer: { DisplayName: 'Batch' } }, { bId: '2', Query: 'select * from Customer' }
  ])
  await call('changeDataCapture', ['Customer', 'Item'], new Date(Date.now() - 3600000))
  await call('getCustomer', '99999')
  await call('revokeAccess', true)
}

main().catch((error) => { console.error(error); process.exit(1) })
