package config

import "time"

// Settings are all settings of Parley: this struct is their one declaration.
// YAML keys, environment variables, flags, help, checks, the warnings at the
// start and docs/configuration.md are derived from it, so a new setting is one
// new field.
//
// The tags of a field:
//
//	name      the YAML key; from "demo_page" follow DEMO_PAGE and --demo-page
//	env       the environment variable, where it is not the name in capitals
//	default   the value where nothing else is said
//	example   what an error suggests to write, where the default would not do
//	min, max  the smallest and the largest value, for numbers and durations
//	oneof     the only values, with commas between
//	risk      a value that relaxes something, "=", and what follows from it
//	help      one or two sentences
//	group     a heading above this field and the ones that follow
//
// A field of type [Secret] or [Headers] is a secret: see there.
type Settings struct {
	Port       int    `group:"Server" name:"port" default:"3001" min:"0" max:"65535" help:"The port to listen on; 0 takes any free one."`
	Host       string `name:"host" example:"127.0.0.1" help:"The address to listen on, such as 127.0.0.1; empty means every network interface."`
	PublicURL  string `name:"public_url" example:"https://chat.example.com" help:"Where visitors reach this server, such as https://chat.example.com. It is what {{base_url}} in a reply becomes; empty means what each request says."`
	NodeEnv    string `name:"node_env" default:"development" oneof:"development,production,test" help:"What this server is for. In production the demo page is off unless DEMO_PAGE says otherwise."`
	DemoPage   bool   `name:"demo_page" default:"true" help:"Serve a page at / on which to try the chat."`
	ConfigFile string `name:"config" env:"PARLEY_CONFIG" example:"parley.yaml" help:"The configuration file. Empty means parley.yaml in the working directory, where it exists."`

	DatabaseURL DatabaseURL   `group:"Data" name:"database_url" default:"sqlite:parley.db" risk:"memory:=conversations and filled-in forms are lost when the server stops" help:"Where conversations and filled-in forms are kept: sqlite:FILE, or for several servers at once postgres://…, mongodb://… or redis://…, or memory: to keep them while the server runs. DATABASE_URL_FILE names a file that holds it."`
	Durability  string        `name:"durability" default:"normal" oneof:"normal,strict" help:"Whether the server starts on a Redis or PostgreSQL that is set up to lose what was answered when it crashes: with a warning, or not at all with strict."`
	Retention   time.Duration `name:"retention" default:"30d" min:"1m" help:"How long conversations are kept; with memory:, a day unless set. Filled-in forms stay until you delete them."`

	AllowedOrigins []string      `group:"Visitors" name:"allowed_origins" example:"https://example.com" risk:"*=every website may use this chat" help:"The sites whose pages may use the chat, such as https://example.com or https://*.example.com. Empty means pages on this computer only."`
	SessionTTL     time.Duration `name:"session_ttl" default:"1h" min:"1s" help:"How long after its last message a conversation is remembered."`
	SessionBinding string        `name:"session_binding" default:"on" oneof:"on,off" risk:"off=whoever guesses a session id goes on with that conversation" help:"Whether a session id that could be guessed works only for the client that began the conversation."`
	RequireSession bool          `name:"require_session" default:"false" help:"Refuse messages whose session_id is null. Otherwise each is a conversation of its own."`
	MaxPrompt      int           `name:"max_prompt" default:"1000" min:"1" max:"10000" help:"The length of the longest prompt, as JavaScript counts it (UTF-16 code units)."`

	AnswerTimeout time.Duration `group:"Answers" name:"answer_timeout" default:"60s" min:"1s" max:"70s" help:"The most time that an answer may take; the server ends every response after 100s."`
	MaxTurns      int           `name:"max_turns" default:"4096" min:"1" max:"1000000" help:"How many messages may be answered or wait at once; more are refused with 503."`
	Bots          []string      `name:"bots" example:"rules,text" help:"Which bots are asked, one after the other until one has an answer, of rules, relay, openai, anthropic and text (the default reply). Empty means your rules, then relay, openai and anthropic as far as they are set up, and text where none of these is."`

	BotTimeout        time.Duration `group:"Models and relays" name:"bot_timeout" default:"45s" min:"100ms" help:"The most time that the answer of one model or relay may take. It must be shorter than ANSWER_TIMEOUT, so that time is left for the next; unless set, it is no more than three quarters of that."`
	FirstTokenTimeout time.Duration `name:"first_token_timeout" default:"15s" min:"50ms" help:"The most time until the first words of a model's answer. It must be shorter than BOT_TIMEOUT; unless set, it is no more than a third of that. A relay may answer in one piece, so it has all of BOT_TIMEOUT to begin."`

	OpenAIAPIKey  Secret  `name:"openai_api_key" help:"The key for OpenAI's models. It is all it takes to be answered by one."`
	OpenAIBaseURL string  `name:"openai_base_url" example:"http://localhost:11434/v1" help:"The address of a server that is compatible with OpenAI, such as http://localhost:11434 for Ollama. It needs no key unless the server does. Empty means OpenAI itself."`
	OpenAIModel   string  `name:"openai_model" example:"gpt-5.4-mini" help:"The model that is asked there; gpt-5.4-mini unless set."`
	OpenAIAPI     string  `name:"openai_api" oneof:"chat,responses" example:"chat" help:"How it is asked: by Chat Completions or by Responses. Empty means by Responses where OpenAI's model has nothing else."`
	OpenAIHeaders Headers `name:"openai_headers" example:"\"X-Name: value\"" help:"HTTP headers that are sent along, each as Name: value, with commas or line breaks between them."`

	AnthropicAPIKey  Secret  `name:"anthropic_api_key" help:"The key for Anthropic's models. It is all it takes to be answered by one."`
	AnthropicBaseURL string  `name:"anthropic_base_url" example:"https://llm.example.com" help:"The address of a server that has Anthropic's Messages API. Empty means Anthropic itself."`
	AnthropicModel   string  `name:"anthropic_model" example:"claude-haiku-5-5" help:"The model that is asked there; claude-haiku-5-5 unless set."`
	AnthropicHeaders Headers `name:"anthropic_headers" example:"\"X-Name: value\"" help:"HTTP headers that are sent along, written as in OPENAI_HEADERS."`

	SystemPrompt  string   `name:"system_prompt" example:"You answer visitors of the bakery Example. It is open from 7 to 18, and closed on Mondays." help:"What models are told before each conversation: who they are, and what they know of your site. Empty means that they are a helpful assistant who answers briefly. Keep secrets out of it: visitors can talk a model into repeating it."`
	MaxTokens     int      `name:"max_tokens" min:"1" max:"1000000" example:"500" help:"How long a model's answer may be, in tokens of about four letters, and what it thinks before it speaks counts. Empty means 4096 with OpenAI and Anthropic, and what the server allows elsewhere."`
	Temperature   *float64 `name:"temperature" min:"0" max:"2" example:"0.7" help:"How freely a model speaks, up to 1 with Anthropic. Empty leaves it to the provider. Models that take none are sent none."`
	HistoryTurns  int      `name:"history_turns" default:"10" min:"0" max:"100" help:"How many earlier messages of a conversation, with their answers, a model is told of."`
	HistoryTokens int      `name:"history_tokens" default:"2000" min:"1" max:"1000000" help:"How long these may be together, in tokens; the oldest are left out first."`

	RelayURL     string  `name:"relay_url" example:"https://bot.example.com/chat" help:"The address of a backend of your own that prompts are posted to, and whose replies are served. It is all it takes to be answered by it."`
	RelaySecret  Secret  `name:"relay_secret" help:"Signs what is posted there, as Standard Webhooks do: whsec_ and 24 to 64 bytes in base64, as openssl rand -base64 32 prints them."`
	RelayHistory int     `name:"relay_history" default:"0" min:"0" max:"100" help:"How many earlier messages of the conversation are sent along, with their answers."`
	RelayFormat  string  `name:"relay_format" default:"parley" oneof:"parley,n8n" help:"What is posted there: prompt and session_id, or what the chat trigger of n8n expects."`
	RelayHeaders Headers `name:"relay_headers" example:"\"Authorization: Bearer …\"" help:"HTTP headers that are sent along, written as in OPENAI_HEADERS."`

	TrustProxy      string        `group:"Protection" name:"trust_proxy" example:"1" help:"Which proxies in front of this server are believed about a visitor's address: how many a request passes, or their addresses, such as 10.0.0.5, 10.1.0.0/16 or loopback. Empty believes nobody."`
	RateLimit       int           `name:"rate_limit" default:"100" min:"0" risk:"0=one visitor can send as many messages as the server takes" help:"How many messages a visitor may send within RATE_LIMIT_WINDOW; 0 means any number."`
	RateLimitForms  int           `name:"rate_limit_forms" default:"20" min:"0" risk:"0=one visitor can fill in as many forms as the server takes" help:"How many forms a visitor may send within RATE_LIMIT_WINDOW, counted apart; 0 means any number."`
	RateLimitWindow time.Duration `name:"rate_limit_window" default:"15m" min:"1s" max:"24h" help:"How long messages and forms count, from a visitor's first one on."`
	CSRFSecret      Secret        `name:"csrf_secret" help:"Signs the tokens that GET /csrf-token hands out, and that are checked wherever a request carries one; 16 bytes or more. Without it such tokens are ignored. To replace it, write the new one, a comma and the old one for two hours."`
	CSRFRequired    bool          `name:"csrf_required" default:"false" help:"Refuse messages and forms without a CSRF token. The existing React widget sends none with its forms."`
	SecurityHeaders bool          `name:"security_headers" default:"true" risk:"false=browsers are not told to distrust what this server did not mean to send" help:"Send the headers with which browsers protect a site."`
	Compression     bool          `name:"compression" default:"true" help:"Compress answers with zstd or gzip where the visitor's browser can read them."`

	AccessLog  bool   `group:"Logs" name:"access_log" default:"true" help:"Log a line for every request."`
	LogFile    string `name:"log_file" example:"parley.log" help:"A file that gets every line of the log too. At 100 MB it is put aside, and the newest seven are kept, compressed."`
	LogLevel   string `name:"log_level" default:"info" oneof:"debug,info,warn,error" help:"The least important lines that are logged. Logs are JSON lines on standard output."`
	LogPrompts bool   `name:"log_prompts" default:"true" help:"Whether logs may contain the first 100 characters of a prompt."`
}
