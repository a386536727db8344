export const dynamic = 'force-dynamic'

export default function About() {
  return <main>This page was made at {new Date().toISOString()}</main>
}
