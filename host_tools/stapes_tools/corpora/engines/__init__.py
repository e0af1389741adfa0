"""One file per speech synthesiser; `stapes_tools.corpora.voices` puts them behind one call."""
