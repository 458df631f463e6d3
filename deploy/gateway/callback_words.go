package main

import "net/http"

// sentence is what a page says.
type sentence int

const (
	// How it went.
	connected sentence = iota
	choiceLeft
	// Why it did not work.
	denied
	tookTooLong
	usedBefore
	gotLost
	otherPerson
	otherAccount
	permissionMissing
	nothingToConnect
	tooManyAtOnce
	networkAway
	networkRefuses
	notSetUp
	takesLong
	away
	unusable
	sentences
)

var isOutcome = [sentences]bool{connected: true, choiceLeft: true}

var sentencesOfReasons = map[string]sentence{
	"USER_DENIED":              denied,
	"STATE_EXPIRED":            tookTooLong,
	"STATE_ALREADY_USED":       usedBefore,
	"COMPLETION_UNKNOWN":       gotLost,
	"CODE_REJECTED":            gotLost,
	"SESSION_BINDING_MISMATCH": otherPerson,
	"ACCOUNT_MISMATCH":         otherAccount,
	"SCOPE_MISSING":            permissionMissing,
	"NO_ACCOUNT":               nothingToConnect,
	"NOT_AN_ACCOUNT":           nothingToConnect,
	"RATE_LIMITED":             tooManyAtOnce,
	"OVERLOADED":               tooManyAtOnce,
	"NETWORK_UNAVAILABLE":      networkAway,
	"NETWORK_ANSWER_INVALID":   networkAway,
	"NETWORK_REFUSED":          networkRefuses,
	"CLIENT_REJECTED":          notSetUp,
	"CONFIGURATION_OUTDATED":   notSetUp,
	"TOO_MANY_ACCOUNTS":        notSetUp,
	"COMPLETION_IN_PROGRESS":   takesLong,
	"DEADLINE_EXCEEDED":        takesLong,
	"INTERNAL":                 away,
	"STORAGE_UNAVAILABLE":      away,
}

// sentenceFor is what to tell a person of a reason that is meant for programs.
func sentenceFor(reason string) sentence {
	if known, found := sentencesOfReasons[reason]; found {
		return known
	}
	return unusable
}

// sentenceOf is the same of a call that failed.
func sentenceOf(f failure) sentence {
	if known, found := sentencesOfReasons[f.code]; found {
		return known
	}
	switch {
	case f.status == http.StatusTooManyRequests:
		return tooManyAtOnce
	case f.status >= 500:
		return away
	}
	return unusable
}

type words struct {
	// Around the sentence that says why.
	failed    string
	sentences [sentences]string
}

// Plain words for people who know nothing of OAuth, by language (BCP 47).
var callbackWords = map[string]words{
	"en": {"It did not work: %s", [sentences]string{
		connected:         "Connected. You may close this window.",
		choiceLeft:        "One step is left: to choose what is to be connected. Go back to the app, which has to let you choose.",
		denied:            "you did not agree to the connection.",
		tookTooLong:       "it took too long. Please start again in the app.",
		usedBefore:        "this has been used before. Please start again in the app.",
		gotLost:           "something got lost on the way. Please start again in the app.",
		otherPerson:       "this was started in another browser, or by somebody else. Please start again in the app.",
		otherAccount:      "you signed in with another account than the one that was to be connected again.",
		permissionMissing: "a permission is missing that is needed. Please start again in the app, and allow all that is asked for.",
		nothingToConnect:  "your account has nothing that can be connected here, such as a page.",
		tooManyAtOnce:     "there are too many attempts at the moment. Please try again in a few minutes.",
		networkAway:       "the social network does not answer as it should. Please start again later.",
		networkRefuses:    "the social network refused. Please tell those who run the app.",
		notSetUp:          "the app can't make this connection. Please tell those who run it.",
		takesLong:         "it takes longer than usual. Please look in the app in a minute whether you are connected.",
		away:              "the service can't be reached at the moment. Please try again a little later.",
		unusable:          "what came back from the social network can't be used. Please start again in the app.",
	}},
	"de": {"Das hat nicht geklappt: %s", [sentences]string{
		connected:         "Verbunden. Sie können dieses Fenster schließen.",
		choiceLeft:        "Ein Schritt fehlt noch: auszuwählen, was verbunden werden soll. Gehen Sie zurück zur App; dort muss sich das auswählen lassen.",
		denied:            "Sie haben der Verbindung nicht zugestimmt.",
		tookTooLong:       "Es hat zu lange gedauert. Bitte beginnen Sie in der App noch einmal.",
		usedBefore:        "Dies wurde schon einmal verwendet. Bitte beginnen Sie in der App noch einmal.",
		gotLost:           "Unterwegs ist etwas verloren gegangen. Bitte beginnen Sie in der App noch einmal.",
		otherPerson:       "Begonnen wurde dies in einem anderen Browser oder von jemand anderem. Bitte beginnen Sie in der App noch einmal.",
		otherAccount:      "Sie haben sich mit einem anderen Konto angemeldet als dem, das wieder verbunden werden sollte.",
		permissionMissing: "Eine nötige Berechtigung fehlt. Bitte beginnen Sie in der App noch einmal und erlauben Sie alles, wonach gefragt wird.",
		nothingToConnect:  "Zu Ihrem Konto gehört nichts, was sich hier verbinden lässt, etwa eine Seite.",
		tooManyAtOnce:     "Im Augenblick gibt es zu viele Versuche. Bitte versuchen Sie es in ein paar Minuten noch einmal.",
		networkAway:       "Das soziale Netzwerk antwortet nicht so, wie es sollte. Bitte beginnen Sie später noch einmal.",
		networkRefuses:    "Das soziale Netzwerk hat abgelehnt. Bitte sagen Sie denen Bescheid, die die App betreiben.",
		notSetUp:          "Die App kann diese Verbindung nicht herstellen. Bitte sagen Sie denen Bescheid, die sie betreiben.",
		takesLong:         "Es dauert länger als gewöhnlich. Bitte sehen Sie in einer Minute in der App nach, ob die Verbindung besteht.",
		away:              "Der Dienst ist im Augenblick nicht erreichbar. Bitte versuchen Sie es etwas später noch einmal.",
		unusable:          "Was vom sozialen Netzwerk zurückkam, ist nicht zu gebrauchen. Bitte beginnen Sie in der App noch einmal.",
	}},
	"fr": {"Cela n’a pas fonctionné\u00a0: %s", [sentences]string{
		connected:         "Connexion établie. Vous pouvez fermer cette fenêtre.",
		choiceLeft:        "Il reste une étape\u00a0: choisir ce qui doit être connecté. Retournez dans l’application, qui doit vous permettre de choisir.",
		denied:            "vous n’avez pas accepté la connexion.",
		tookTooLong:       "cela a pris trop de temps. Veuillez recommencer dans l’application.",
		usedBefore:        "ceci a déjà été utilisé. Veuillez recommencer dans l’application.",
		gotLost:           "quelque chose s’est perdu en route. Veuillez recommencer dans l’application.",
		otherPerson:       "ceci a été commencé dans un autre navigateur ou par quelqu’un d’autre. Veuillez recommencer dans l’application.",
		otherAccount:      "vous vous êtes identifié avec un autre compte que celui qui devait être reconnecté.",
		permissionMissing: "une autorisation nécessaire manque. Veuillez recommencer dans l’application et accepter tout ce qui est demandé.",
		nothingToConnect:  "votre compte n’a rien qui puisse être connecté ici, par exemple une page.",
		tooManyAtOnce:     "il y a trop de tentatives en ce moment. Veuillez réessayer dans quelques minutes.",
		networkAway:       "le réseau social ne répond pas comme il le devrait. Veuillez recommencer plus tard.",
		networkRefuses:    "le réseau social a refusé. Veuillez en informer les responsables de l’application.",
		notSetUp:          "l’application ne peut pas établir cette connexion. Veuillez en informer ses responsables.",
		takesLong:         "cela prend plus de temps que d’habitude. Veuillez vérifier dans une minute dans l’application si la connexion existe.",
		away:              "le service est injoignable en ce moment. Veuillez réessayer un peu plus tard.",
		unusable:          "ce que le réseau social a renvoyé est inutilisable. Veuillez recommencer dans l’application.",
	}},
	"es": {"No ha funcionado: %s", [sentences]string{
		connected:         "Conexión establecida. Puede cerrar esta ventana.",
		choiceLeft:        "Falta un paso: elegir qué se va a conectar. Vuelva a la aplicación, que tiene que permitirle elegir.",
		denied:            "no ha aceptado la conexión.",
		tookTooLong:       "ha tardado demasiado. Vuelva a empezar en la aplicación.",
		usedBefore:        "esto ya se había utilizado. Vuelva a empezar en la aplicación.",
		gotLost:           "algo se ha perdido por el camino. Vuelva a empezar en la aplicación.",
		otherPerson:       "esto se empezó en otro navegador o lo empezó otra persona. Vuelva a empezar en la aplicación.",
		otherAccount:      "ha iniciado sesión con una cuenta distinta de la que había que volver a conectar.",
		permissionMissing: "falta un permiso necesario. Vuelva a empezar en la aplicación y acepte todo lo que se le pida.",
		nothingToConnect:  "su cuenta no tiene nada que se pueda conectar aquí, por ejemplo una página.",
		tooManyAtOnce:     "hay demasiados intentos en este momento. Inténtelo de nuevo dentro de unos minutos.",
		networkAway:       "la red social no responde como debería. Vuelva a empezar más tarde.",
		networkRefuses:    "la red social lo ha rechazado. Avise a los responsables de la aplicación.",
		notSetUp:          "la aplicación no puede establecer esta conexión. Avise a sus responsables.",
		takesLong:         "tarda más de lo habitual. Compruebe dentro de un minuto en la aplicación si la conexión existe.",
		away:              "el servicio no está disponible en este momento. Inténtelo de nuevo un poco más tarde.",
		unusable:          "lo que ha devuelto la red social no se puede utilizar. Vuelva a empezar en la aplicación.",
	}},
	"pt": {"Não funcionou: %s", [sentences]string{
		connected:         "Conexão estabelecida. Pode fechar esta janela.",
		choiceLeft:        "Falta um passo: escolher o que vai ser conectado. Volte ao aplicativo, que tem de permitir a escolha.",
		denied:            "a conexão não foi autorizada.",
		tookTooLong:       "demorou demais. Comece de novo no aplicativo.",
		usedBefore:        "isto já tinha sido usado. Comece de novo no aplicativo.",
		gotLost:           "algo se perdeu pelo caminho. Comece de novo no aplicativo.",
		otherPerson:       "isto foi iniciado em outro navegador ou por outra pessoa. Comece de novo no aplicativo.",
		otherAccount:      "o login foi feito com uma conta diferente daquela que devia ser conectada de novo.",
		permissionMissing: "falta uma permissão necessária. Comece de novo no aplicativo e aceite tudo o que for pedido.",
		nothingToConnect:  "a sua conta não tem nada que possa ser conectado aqui, como uma página.",
		tooManyAtOnce:     "há tentativas demais neste momento. Tente de novo daqui a alguns minutos.",
		networkAway:       "a rede social não responde como devia. Comece de novo mais tarde.",
		networkRefuses:    "a rede social recusou. Avise os responsáveis pelo aplicativo.",
		notSetUp:          "o aplicativo não consegue estabelecer esta conexão. Avise os seus responsáveis.",
		takesLong:         "está demorando mais do que o normal. Veja daqui a um minuto no aplicativo se a conexão existe.",
		away:              "o serviço não está disponível neste momento. Tente de novo um pouco mais tarde.",
		unusable:          "o que a rede social devolveu não pode ser usado. Comece de novo no aplicativo.",
	}},
	"it": {"Non ha funzionato: %s", [sentences]string{
		connected:         "Collegamento riuscito. Può chiudere questa finestra.",
		choiceLeft:        "Manca un passo: scegliere che cosa collegare. Torni all’app, che deve permetterle di scegliere.",
		denied:            "il collegamento non è stato autorizzato.",
		tookTooLong:       "ci è voluto troppo tempo. Ricominci dall’app.",
		usedBefore:        "questo era già stato usato. Ricominci dall’app.",
		gotLost:           "qualcosa è andato perso per strada. Ricominci dall’app.",
		otherPerson:       "tutto è cominciato in un altro browser o da un’altra persona. Ricominci dall’app.",
		otherAccount:      "l’accesso è stato fatto con un account diverso da quello da ricollegare.",
		permissionMissing: "manca un’autorizzazione necessaria. Ricominci dall’app e accetti tutto ciò che viene chiesto.",
		nothingToConnect:  "il suo account non ha nulla che si possa collegare qui, per esempio una pagina.",
		tooManyAtOnce:     "in questo momento ci sono troppi tentativi. Riprovi tra qualche minuto.",
		networkAway:       "il social network non risponde come dovrebbe. Ricominci più tardi.",
		networkRefuses:    "il social network ha rifiutato. Avvisi i responsabili dell’app.",
		notSetUp:          "l’app non può stabilire questo collegamento. Avvisi i suoi responsabili.",
		takesLong:         "ci vuole più tempo del solito. Tra un minuto controlli nell’app se il collegamento esiste.",
		away:              "in questo momento il servizio non è raggiungibile. Riprovi un po’ più tardi.",
		unusable:          "ciò che è tornato dal social network non si può usare. Ricominci dall’app.",
	}},
	"nl": {"Het is niet gelukt: %s", [sentences]string{
		connected:         "Verbonden. U kunt dit venster sluiten.",
		choiceLeft:        "Er is nog één stap: kiezen wat er verbonden moet worden. Ga terug naar de app, die u moet laten kiezen.",
		denied:            "u bent niet akkoord gegaan met de verbinding.",
		tookTooLong:       "het duurde te lang. Begin opnieuw in de app.",
		usedBefore:        "dit is al eerder gebruikt. Begin opnieuw in de app.",
		gotLost:           "er is onderweg iets verloren gegaan. Begin opnieuw in de app.",
		otherPerson:       "dit is in een andere browser of door iemand anders begonnen. Begin opnieuw in de app.",
		otherAccount:      "u hebt zich aangemeld met een ander account dan het account dat opnieuw verbonden moest worden.",
		permissionMissing: "er ontbreekt een toestemming die nodig is. Begin opnieuw in de app en sta alles toe waar om gevraagd wordt.",
		nothingToConnect:  "uw account heeft niets wat hier verbonden kan worden, zoals een pagina.",
		tooManyAtOnce:     "er zijn op dit moment te veel pogingen. Probeer het over een paar minuten opnieuw.",
		networkAway:       "het sociale netwerk antwoordt niet zoals het hoort. Begin later opnieuw.",
		networkRefuses:    "het sociale netwerk heeft geweigerd. Laat het weten aan wie de app beheert.",
		notSetUp:          "de app kan deze verbinding niet maken. Laat het weten aan wie de app beheert.",
		takesLong:         "het duurt langer dan normaal. Kijk over een minuut in de app of de verbinding er is.",
		away:              "de dienst is op dit moment niet bereikbaar. Probeer het iets later opnieuw.",
		unusable:          "wat het sociale netwerk terugstuurde, is niet bruikbaar. Begin opnieuw in de app.",
	}},
	"pl": {"Nie udało się: %s", [sentences]string{
		connected:         "Połączono. Możesz zamknąć to okno.",
		choiceLeft:        "Pozostał jeden krok: wybór tego, co ma zostać połączone. Wróć do aplikacji, która musi umożliwić ten wybór.",
		denied:            "nie wyrażono zgody na połączenie.",
		tookTooLong:       "trwało to zbyt długo. Zacznij od nowa w aplikacji.",
		usedBefore:        "to zostało już wcześniej użyte. Zacznij od nowa w aplikacji.",
		gotLost:           "coś zginęło po drodze. Zacznij od nowa w aplikacji.",
		otherPerson:       "rozpoczęto to w innej przeglądarce albo zrobił to ktoś inny. Zacznij od nowa w aplikacji.",
		otherAccount:      "zalogowano się na inne konto niż to, które miało zostać połączone ponownie.",
		permissionMissing: "brakuje potrzebnego uprawnienia. Zacznij od nowa w aplikacji i zgódź się na wszystko, o co zostaniesz poproszony.",
		nothingToConnect:  "na Twoim koncie nie ma niczego, co można tu połączyć, na przykład strony.",
		tooManyAtOnce:     "w tej chwili jest zbyt wiele prób. Spróbuj ponownie za kilka minut.",
		networkAway:       "sieć społecznościowa nie odpowiada tak, jak powinna. Zacznij od nowa później.",
		networkRefuses:    "sieć społecznościowa odmówiła. Powiadom osoby, które prowadzą aplikację.",
		notSetUp:          "aplikacja nie może nawiązać tego połączenia. Powiadom osoby, które ją prowadzą.",
		takesLong:         "trwa to dłużej niż zwykle. Sprawdź za minutę w aplikacji, czy połączenie istnieje.",
		away:              "usługa jest w tej chwili nieosiągalna. Spróbuj ponownie nieco później.",
		unusable:          "nie można użyć tego, co przyszło z sieci społecznościowej. Zacznij od nowa w aplikacji.",
	}},
	"ja": {"うまくいきませんでした：%s", [sentences]string{
		connected:         "接続しました。このウィンドウを閉じてかまいません。",
		choiceLeft:        "あと一歩です。接続するものを選ぶ必要があります。アプリに戻り、そこで選択してください。",
		denied:            "接続が許可されませんでした。",
		tookTooLong:       "時間がかかりすぎました。アプリからもう一度やり直してください。",
		usedBefore:        "これはすでに使用されています。アプリからもう一度やり直してください。",
		gotLost:           "途中で情報が失われました。アプリからもう一度やり直してください。",
		otherPerson:       "別のブラウザー、または別の人によって開始されたものです。アプリからもう一度やり直してください。",
		otherAccount:      "再接続するはずのアカウントとは別のアカウントでログインしました。",
		permissionMissing: "必要な許可が足りません。アプリからもう一度やり直し、求められる許可をすべて与えてください。",
		nothingToConnect:  "お使いのアカウントには、ページなど、ここで接続できるものがありません。",
		tooManyAtOnce:     "現在、接続の試みが多すぎます。数分後にもう一度お試しください。",
		networkAway:       "ソーシャルネットワークが正しく応答していません。後でもう一度やり直してください。",
		networkRefuses:    "ソーシャルネットワークに拒否されました。アプリの運営者にお知らせください。",
		notSetUp:          "アプリがこの接続を行えません。アプリの運営者にお知らせください。",
		takesLong:         "通常より時間がかかっています。1分ほどしてから、接続されているかアプリで確認してください。",
		away:              "現在、サービスに接続できません。しばらくしてからもう一度お試しください。",
		unusable:          "ソーシャルネットワークから返された情報を使用できません。アプリからもう一度やり直してください。",
	}},
	"zh-Hans": {"没有成功：%s", [sentences]string{
		connected:         "已连接。您可以关闭此窗口。",
		choiceLeft:        "还差一步：选择要连接的内容。请返回应用，在那里进行选择。",
		denied:            "您没有同意连接。",
		tookTooLong:       "用时过长。请在应用中重新开始。",
		usedBefore:        "此链接已经用过。请在应用中重新开始。",
		gotLost:           "途中有信息丢失。请在应用中重新开始。",
		otherPerson:       "这是在另一个浏览器中或由其他人发起的。请在应用中重新开始。",
		otherAccount:      "您登录的账号不是要重新连接的那个账号。",
		permissionMissing: "缺少必要的权限。请在应用中重新开始，并允许所请求的全部权限。",
		nothingToConnect:  "您的账号中没有可以在此连接的内容，例如主页。",
		tooManyAtOnce:     "目前尝试次数过多。请过几分钟再试。",
		networkAway:       "社交网络没有正常响应。请稍后重新开始。",
		networkRefuses:    "社交网络拒绝了请求。请告知应用的运营者。",
		notSetUp:          "应用无法建立此连接。请告知应用的运营者。",
		takesLong:         "所需时间比平常长。请一分钟后在应用中查看是否已连接。",
		away:              "目前无法访问该服务。请稍后再试。",
		unusable:          "社交网络返回的信息无法使用。请在应用中重新开始。",
	}},
	"zh-Hant": {"沒有成功：%s", [sentences]string{
		connected:         "已連結。您可以關閉此視窗。",
		choiceLeft:        "還差一步：選擇要連結的項目。請返回應用程式，在那裡進行選擇。",
		denied:            "您沒有同意連結。",
		tookTooLong:       "花費的時間過長。請在應用程式中重新開始。",
		usedBefore:        "此連結已經使用過。請在應用程式中重新開始。",
		gotLost:           "途中有資訊遺失。請在應用程式中重新開始。",
		otherPerson:       "這是在另一個瀏覽器中或由其他人發起的。請在應用程式中重新開始。",
		otherAccount:      "您登入的帳號不是要重新連結的那個帳號。",
		permissionMissing: "缺少必要的權限。請在應用程式中重新開始，並允許所要求的全部權限。",
		nothingToConnect:  "您的帳號中沒有可以在此連結的項目，例如粉絲專頁。",
		tooManyAtOnce:     "目前嘗試次數過多。請過幾分鐘再試。",
		networkAway:       "社群網路沒有正常回應。請稍後重新開始。",
		networkRefuses:    "社群網路拒絕了要求。請告知應用程式的營運者。",
		notSetUp:          "應用程式無法建立此連結。請告知應用程式的營運者。",
		takesLong:         "所需時間比平常長。請一分鐘後在應用程式中查看是否已連結。",
		away:              "目前無法連上該服務。請稍後再試。",
		unusable:          "社群網路傳回的資訊無法使用。請在應用程式中重新開始。",
	}},
}
