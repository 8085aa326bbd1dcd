// The status page: asks the gateway every two seconds and draws what it says.
const words = {
  en: { devices: 'Devices', upstreams: 'Upstreams', values: 'Values', filter: 'Filter: boiler2/* or *temp*', good: 'good', bad: 'bad', uncertain: 'uncertain',
    device: 'Device', bus: 'Bus', state: 'State', last: 'Last answer', polls: 'Polls', failed: 'Failed', p95: 'p95', name: 'Name', queue: 'Queued', oldest: 'Oldest', sent: 'Delivered', dropped: 'Dropped', month: 'Used this month', projected: 'By its end',
    tag: 'Tag', value: 'Value', quality: 'Quality', age: 'Age', address: 'Address', clients: 'MQTT clients', messages: 'Messages in', disk: 'Disk free', clock: 'Clock', synced: 'synchronised', unsynced: 'not synchronised',
    ok: 'all well', degraded: 'degraded', failedState: 'failed', online: 'online', offline: 'offline', connecting: 'connecting', disabled: 'disabled', unknown: 'not read yet', none: 'none', up: 'up', next: 'next try in',
    gone: 'The gateway does not answer. Is it running? Last seen ', config: 'configuration' },
  zh: { devices: '设备', upstreams: '上行链路', values: '数值', filter: '筛选:boiler2/* 或 *temp*', good: '正常', bad: '异常', uncertain: '不确定',
    device: '设备', bus: '总线', state: '状态', last: '最后应答', polls: '轮询', failed: '失败', p95: 'p95', name: '名称', queue: '排队', oldest: '最早', sent: '已送达', dropped: '丢弃', month: '本月已用', projected: '月底预计',
    tag: '变量', value: '值', quality: '质量', age: '时间', address: '地址', clients: 'MQTT 客户端', messages: '收到消息', disk: '磁盘剩余', clock: '时钟', synced: '已同步', unsynced: '未同步',
    ok: '一切正常', degraded: '降级', failedState: '故障', online: '在线', offline: '离线', connecting: '连接中', disabled: '停用', unknown: '尚未读取', none: '无', up: '运行', next: '下次重试',
    gone: '网关没有应答。它在运行吗?最后一次:', config: '配置' },
}
let lang = words[localStorage.getItem('lang')] ? localStorage.getItem('lang') : (navigator.language.startsWith('zh') ? 'zh' : 'en')
let seen = null
const $ = (id) => document.getElementById(id)
const t = (key) => words[lang][key] ?? key

function span(seconds) {
  if (!(seconds >= 0)) return '–'
  if (seconds < 120) return Math.round(seconds) + ' s'
  if (seconds < 7200) return Math.round(seconds / 60) + ' min'
  if (seconds < 172800) return Math.round(seconds / 3600) + ' h'
  return Math.round(seconds / 86400) + ' d'
}
// spent is what of a month's budget is used, and what the month comes to.
function spent(b) {
  if (!b) return [['–', 'n'], ['–', 'n']]
  return [[bytes(b.used_bytes) + ' / ' + bytes(b.month_bytes), 'n' + (b.saving === 'none' ? '' : ' warn')], [bytes(b.projected_bytes), 'n' + (b.projected_bytes > b.month_bytes ? ' warn' : '')]]
}

function bytes(n) {
  for (const unit of ['B', 'KiB', 'MiB', 'GiB']) {
    if (n < 1024 || unit === 'GiB') return (n < 10 && unit !== 'B' ? n.toFixed(1) : Math.round(n)) + ' ' + unit
    n /= 1024
  }
}
const ago = (time) => time ? span((Date.now() - Date.parse(time)) / 1000) : '–'
const tone = (state) => ({ ok: 'ok', online: 'ok', good: 'ok', degraded: 'warn', uncertain: 'warn', connecting: 'warn', unknown: '', disabled: '' })[state] ?? 'bad'

function el(name, text, cls) {
  const e = document.createElement(name)
  if (text !== undefined) e.textContent = text
  if (cls) e.className = cls
  return e
}
function table(id, head, rows) {
  const tr = el('tr')
  for (const h of head) tr.append(el('th', t(h)))
  const out = [tr]
  for (const row of rows) {
    const r = el('tr')
    for (const [text, cls] of row) r.append(el('td', text, cls))
    out.push(r)
  }
  if (!rows.length) out.push(el('tr')), out[1].append(el('td', t('none')))
  $(id).replaceChildren(...out)
}

function draw(s, tags) {
  document.documentElement.lang = lang
  document.title = s.gateway.id + ' · fieldgate'
  for (const e of document.querySelectorAll('[data-t]')) e.textContent = t(e.dataset.t)
  for (const e of document.querySelectorAll('[data-p]')) e.placeholder = t(e.dataset.p)
  $('lang').textContent = lang === 'en' ? '中文' : 'English'
  $('gateway').textContent = s.gateway.name || s.gateway.id
  $('dot').className = 'dot ' + tone(s.state)
  $('state').textContent = t(s.state === 'failed' ? 'failedState' : s.state)

  $('problems').hidden = !s.problems.length
  $('problems').replaceChildren(...s.problems.map((p) => {
    const box = el('div', undefined, 'problem')
    box.append(el('strong', p.part + ': ' + p.text))
    if (p.next) box.append(el('small', p.next))
    return box
  }))

  const card = (value, label, cls) => {
    const c = el('div', undefined, 'card')
    c.append(el('b', value, cls), el('span', label))
    return c
  }
  const up = s.devices.filter((d) => d.state === 'online' || d.state === 'degraded').length
  $('cards').replaceChildren(
    card(up + '/' + s.devices.length, t('devices'), up === s.devices.length ? 'ok' : 'warn'),
    card(s.tags.good, t('values') + ' ' + t('good')),
    card(s.tags.bad, t('values') + ' ' + t('bad'), s.tags.bad ? 'bad' : ''),
    card(s.broker.clients, t('clients')),
    card(bytes(s.store.free_bytes), t('disk')),
    card(t(s.clock.synced ? 'synced' : 'unsynced'), t('clock'), s.clock.synced ? '' : 'warn'))

  table('devices', ['device', 'bus', 'state', 'last', 'polls', 'failed', 'p95'], s.devices.map((d) => [
    [d.name], [d.bus], [t(d.state) + (d.reason ? ' (' + d.reason + ')' : ''), tone(d.state)], [ago(d.last_ok), 'n'], [d.polls, 'n'], [d.failures, 'n'], [d.p95_ms.toFixed(0) + ' ms', 'n']]))
  const budgets = s.upstreams.some((u) => u.budget)
  table('upstreams', ['name', 'state', 'queue', 'oldest', 'sent', 'dropped', ...(budgets ? ['month', 'projected'] : [])], s.upstreams.map((u) => [
    [u.name], [t(u.state) + (u.reason && u.state !== 'online' ? ': ' + u.reason : ''), tone(u.state) + ' wrap'], [u.queue.messages + ' · ' + bytes(u.queue.bytes), 'n'],
    [u.queue.messages ? span(u.queue.oldest_age_s) : '–', 'n'], [u.acked, 'n'], [Object.values(u.queue.dropped || {}).reduce((a, b) => a + b, 0), 'n'], ...(budgets ? spent(u.budget) : [])]))
  table('tags', ['device', 'tag', 'value', 'quality', 'age', 'address'], tags.map((x) => [
    [x.device], [x.label || x.tag], [(x.value === null ? '–' : String(x.value)) + (x.unit ? ' ' + x.unit : ''), 'n'], [t(x.quality) + (x.reason ? ' (' + x.reason + ')' : ''), tone(x.quality)], [x.time ? span(x.age_s) : '–', 'n'], [x.address || '']]))
  $('foot').textContent = `${s.gateway.id} · fieldgate ${s.gateway.version} · ${t('up')} ${span(s.gateway.uptime_s)} · ${t('config')} ${s.gateway.config}`
}

async function ask(path, otherwise) {
  const r = await fetch(path)
  if (!r.ok && !otherwise) throw new Error(r.statusText)
  return r.ok ? r.json() : otherwise
}

async function refresh() {
  const match = $('match').value.trim()
  let s, v
  try {
    [s, v] = await Promise.all([ask('api/status'), ask('api/tags' + (match ? '?match=' + encodeURIComponent(match) : ''), { tags: [] })])
  } catch {
    $('gone').hidden = false
    $('gone').textContent = t('gone') + (seen ? seen.toLocaleTimeString() : '–')
    $('dot').className = 'dot bad'
    return
  }
  seen = new Date()
  $('gone').hidden = true
  draw(s, v.tags)
}
async function loop() {
  try {
    if (!document.hidden) await refresh()
  } finally {
    setTimeout(loop, 2000)
  }
}
$('lang').onclick = () => { lang = lang === 'en' ? 'zh' : 'en'; localStorage.setItem('lang', lang); refresh() }
$('match').oninput = refresh
document.addEventListener('visibilitychange', () => document.hidden || refresh())
loop()
