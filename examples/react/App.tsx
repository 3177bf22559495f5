import { useState } from "react";
import { ParleyChat } from "./ParleyChat";

export function App() {
  const [user, setUser] = useState<string>();
  return (
    <main>
      <h1>Mountain Bikes</h1>
      <button onClick={() => setUser(user ? undefined : "customer-4711")}>{user ? "Sign out" : "Sign in"}</button>
      <ParleyChat server="http://localhost:3001" user={user} title="Support" agentName="Ada" color="#0f766e" />
    </main>
  );
}
