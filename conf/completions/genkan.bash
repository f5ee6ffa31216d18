# bash completion for genkan; installed as /usr/share/bash-completion/completions/genkan.
_genkan() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command='' word
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case $word in
      run|demo|check|doctor|drill|preflight|status|reload|stop|modules) command=$word; break ;;
    esac
  done
  COMPREPLY=()
  case $previous in
    --lang)
      mapfile -t COMPREPLY < <(compgen -W "en ja" -- "$current"); return ;;
    -c|--config|--cert|--trust-store|--trust-profiles)
      mapfile -t COMPREPLY < <(compgen -f -- "$current"); compopt -o filenames; return ;;
    --acme-webroot|--webroot)
      mapfile -t COMPREPLY < <(compgen -d -- "$current"); compopt -o filenames; return ;;
    --name)
      mapfile -t COMPREPLY < <(compgen -A hostname -- "$current"); return ;;
    --upstream|--listen|--http|--port|--connect-to|--http-port|--https-port|--timeout)
      return ;;
  esac
  local words
  case $command in
    run) words="-c --config --cert --upstream --listen --http --acme-webroot --name --help" ;;
    demo) words="--port --help" ;;
    check) words="-c --config --json --help" ;;
    doctor)
      words="--json --lang --trust-store --trust-profiles --no-revocation --help"
      if [[ $current != -* ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$current"; compgen -A hostname -- "$current")
        compopt -o filenames; return
      fi ;;
    preflight)
      words="-c --config --webroot --json --connect-to --http-port --https-port --timeout --help"
      if [[ $current != -* ]]; then
        mapfile -t COMPREPLY < <(compgen -A hostname -- "$current"); return
      fi ;;
    status) words="-c --config --json --refresh --help" ;;
    reload) words="-c --config --force --help" ;;
    stop) words="-c --config --now --help" ;;
    drill) words="revocation --site -c --config --help" ;;
    modules) words="--abi --help" ;;
    *) words="run demo check doctor drill preflight status reload stop modules --help --version" ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
complete -F _genkan genkan
