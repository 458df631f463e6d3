// A page of an organisation's app, with Outstand's components as they are published: what is ours is their base URL and
// the token that they get as their key.
import { useState } from 'react';
import { createRoot } from 'react-dom/client';
import { AccountsList, ConnectAccountButton, OAuthCallback } from '@outstand-so/ui';

function Home({ settings, onError }) {
  return (
    <>
      <ConnectAccountButton
        network="facebook"
        redirectUri={`${location.origin}/connected`}
        onError={onError}
        {...settings}
      />
      <AccountsList {...settings} />
    </>
  );
}

function Connected({ settings, onError }) {
  const [accounts, setAccounts] = useState();
  if (!accounts) return <OAuthCallback onSuccess={setAccounts} onError={onError} {...settings} />;
  return (
    <>
      <p>Connected: {accounts.map(({ nickname }) => nickname).join(', ')}</p>
      <a href="/">Back</a>
    </>
  );
}

function App({ settings }) {
  const [error, setError] = useState();
  const Page = location.pathname === '/connected' ? Connected : Home;
  return (
    <main>
      {error && <p role="alert">{error.message}</p>}
      <Page settings={settings} onError={setError} />
    </main>
  );
}

const settings = await (await fetch('/settings')).json();
createRoot(document.getElementById('root')).render(<App settings={settings} />);
